"""The page to try the API out on asks this service and nobody else."""

import re

import pytest

from tests.shared.http.apps import client_of, create


@pytest.mark.parametrize("root_path", ["", "/query"])
async def test_all_that_the_page_loads_is_here(root_path: str) -> None:
    app = create()
    app.root_path = root_path
    async with client_of(app) as client:
        page = await client.get(f"{root_path}/docs")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "connect-src 'self'" in page.headers["content-security-policy"]
        assert "//" not in re.sub(r"<!--.*?-->", "", page.text)
        loaded = re.findall(r"""(?:src|href|url)(?:=|: )["']([^"']+)["']""", page.text)
        assert len(loaded) == 4
        for url in loaded:
            assert url.startswith(f"{root_path}/")
            answer = await client.get(url)
            assert (answer.status_code, len(answer.content) > 0) == (200, True)


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2f__init__.py", "%00", "a/b", ""])
async def test_no_other_file_can_be_had(name: str) -> None:
    async with client_of(create()) as client:
        answer = await client.get(f"/docs/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
