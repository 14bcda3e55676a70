#!/bin/sh
# Installs RabbitMQ from the distribution's packages without starting its system service. Runs as root.
set -eu

policy=/usr/sbin/policy-rc.d # what packages ask before they start a service
saved=$policy.before-mbus
mark='written by mbus up while it installs rabbitmq-server'

restore() {
    if grep -qs "$mark" "$policy"; then rm -f "$policy"; fi
    if [ -e "$saved" ] || [ -L "$saved" ]; then mv -f "$saved" "$policy"; fi
}
trap restore EXIT
trap 'exit 130' HUP INT TERM

restore # what a killed run may have left
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

erlang_is_new=true
if dpkg-query --show --showformat='${db:Status-Status}' erlang-base 2>/dev/null | grep -qx installed; then
    erlang_is_new=false
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq -o DPkg::Lock::Timeout=300
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 rabbitmq-server

# The packages turn their services on for the next start of the machine too; nobody asked for that.
if command -v systemctl >/dev/null; then
    systemctl disable --quiet rabbitmq-server
    if $erlang_is_new; then systemctl disable --quiet epmd.service epmd.socket; fi
fi
