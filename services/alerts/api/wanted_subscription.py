"""What is looked at in a subscription that somebody wants, beyond what each field says of itself."""

from collections.abc import Iterator
from dataclasses import replace

from services.alerts.mail.addresses import UnusableMailAddress, parse_mail_address
from services.alerts.queries.subscription_fields import SubscriptionBody
from services.alerts.webhooks.allow_list import AllowList
from services.alerts.webhooks.urls import UnusableUrl, check_url
from shared.http.problems import BadFieldsError, FieldError
from shared.models import Language


def checked(wanted: SubscriptionBody, *, allowed: AllowList, sends_mail: bool) -> SubscriptionBody:
    """`wanted`, its URL or address in its one spelling; raises `BadFieldsError` that names what cannot be.

    Webhooks may go to public addresses and to what is `allowed`; mail goes where the service `sends_mail`.
    """
    errors = list(_errors(wanted, sends_mail=sends_mail))
    url, address, language = wanted.url, wanted.mail_address, wanted.language
    if not errors and url is not None:
        try:
            url = check_url(url, allowed).url
        except UnusableUrl as error:
            errors.append(FieldError("body", "url", str(error)))
    if not errors and address is not None:
        language = language or Language.ENGLISH
        try:
            address = parse_mail_address(address)
        except UnusableMailAddress as error:
            errors.append(FieldError("body", "mail_address", str(error)))
    if errors:
        raise BadFieldsError(errors)
    return replace(
        wanted,
        url=url,
        mail_address=address,
        language=language,
        event_types=sorted(set(wanted.event_types)),
        property_ids=sorted(set(wanted.property_ids)),
        media=sorted(set(wanted.media)),
    )


def _errors(wanted: SubscriptionBody, *, sends_mail: bool) -> Iterator[FieldError]:
    if (wanted.url is None) == (wanted.mail_address is None):
        yield FieldError("body", "url", "give either this or mail_address")
    elif wanted.url is not None and wanted.language is not None:
        yield FieldError("body", "language", "is of mails; a webhook has none")
    elif wanted.mail_address is not None and not sends_mail:
        yield FieldError("body", "mail_address", "this service sends no mail: its operator has set up no mail server")
