# Probes a systemd with netloom's units. Prints one line for each probe: its name, and what it saw.
export CNI_PATH=/opt/cni/bin CNI_IFNAME=eth0
conf='{"cniVersion":"1.1.0","name":"net","type":"bridge","isDefaultGateway":true,"ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.44.0.0/16"}]]}}'
tap='{"cniVersion":"1.1.0","name":"taps","type":"tap"}'

is_active() { systemctl is-active netloom-agent.$1; }
main_pid() { systemctl show -p MainPID --value netloom-agent.service; }
call() { # COMMAND CONTAINER [TYPE CONF]
  CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 /opt/cni/bin/${3:-bridge} <<<"${4:-$conf}" >/srv/out/answer
  local status=$?
  ((status == 0)) || cat /srv/out/answer >&2
  echo $status
}
served() { /opt/cni/bin/netloom status --json >/srv/out/status; tr -d ' \n' </srv/out/status | grep -o "\"type\":\"$1\",\"command\":\"$2\",\"count\":[0-9]*" | grep -o '[0-9]*$'; }
make_netns() { touch /run/netns/$1; unshare --net=/run/netns/$1 true; }

ip link set lo up
mkdir -p /run/netns
for name in c1 c2 c3; do make_netns $name; done

echo "before: $(is_active socket) $(is_active service)"
echo "ADD: $(call ADD c1) $(is_active service), by the agent: $(served bridge ADD)"
nsenter --net=/run/netns/c1 ping -c 1 -W 10 -q 10.44.0.1 >&2
echo "ping: $?"
echo "socket: $(stat -c '%a' /run/netloom/agent.sock) in $(stat -c '%a' /run/netloom)"
echo "process: $(grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$(main_pid)/status | tr -d '\t' | tr '\n' ' ')"
echo "tap: $(call ADD c3 tap "$tap") $(call DEL c3 tap "$tap"), by the agent: $(served tap ADD)"

before=$(main_pid)
systemctl reload netloom-agent.service
echo "reload: $? $([[ $(main_pid) == "$before" ]] && echo the same process)"

# Calls continue during many restarts.
for i in $(seq 20); do call ADD c2; call DEL c2; done >/srv/out/calls &
calls=$!
restarts=0
while kill -0 $calls 2>/dev/null; do
  systemctl restart netloom-agent.service && restarts=$((restarts + 1))
  systemctl reset-failed netloom-agent.service # or so many in a row are too many
done
echo "restarts: $([[ $restarts -gt 1 ]] && echo several), calls: $(sort /srv/out/calls | uniq -c | xargs)"

before=$(main_pid)
kill -9 "$before"
echo "killed: $(call ADD c2) $(call DEL c2)"
for i in $(seq 300); do [[ $(is_active service) == active && $(main_pid) != "$before" ]] && break; sleep 0.1; done
echo "after: $(is_active service) $([[ $(main_pid) != "$before" ]] && echo another process)"

systemctl stop netloom-agent.service 2>/dev/null
echo "stopped: $(is_active service) $(ls /run/netloom | grep -c attachments)"
echo "DEL: $(call DEL c1) $(is_active service)"
echo "links: $(ip -o link show type veth | wc -l)"
systemctl stop netloom-agent.socket netloom-agent.service
echo "end: $(is_active service) $(ls /run/netloom/agent.sock 2>/dev/null | wc -l)"
echo "without: $(call ADD c1) $(call DEL c1)"
