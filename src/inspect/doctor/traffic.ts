/** What stops packets although everything is in place: forwarding, other firewalls, MTUs, reverse path filters. */
import { FAMILIES } from '../../net/ip.ts';
import { readSysctl, writeSysctl } from '../../net/sysctl.ts';
import { openNetns } from '../../netns/namespace.ts';
import { withNetns } from '../../netns/within.ts';
import { droppingForward } from '../../nft/dropping.ts';
import { legacyWayOut } from '../../nft/legacy-forward.ts';
import { tryOpenNft } from '../../nft/socket.ts';
import type { Network } from '../../runtime/conf-directory.ts';
import { nameOf } from '../graph.ts';
import type { LinkEntry, NamespaceEntry } from '../snapshot.ts';
import type { Check, Examination, Finding } from './finding.ts';

const FORWARDING = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const;

/** Networks whose containers reach the outside through the host, with the families of their attachments. */
function routed({ networks, attachments }: Examination): readonly { network: Network; families: readonly (4 | 6)[] }[] {
  return networks.flatMap((network) => {
    const [main] = network.list.plugins;
    const isRouted =
      main !== undefined &&
      (main.type === 'ptp' ||
        (main.type === 'bridge' && (isOn(main.conf['isGateway']) || isOn(main.conf['isDefaultGateway']))));
    const own = attachments.filter((each) => each.network === network.list.name);
    if (!isRouted || own.length === 0) return [];
    const text = own.map(({ result }) => JSON.stringify(result?.['ips'] ?? '')).join('');
    const families = FAMILIES.filter((family) =>
      family === 4 ? /"\d+\.\d+\.\d+\.\d+\//.test(text) : /"[0-9a-f:]*:[0-9a-f:]*\//.test(text),
    );
    return [{ network, families }];
  });
}

function isOn(value: unknown): boolean {
  return value === true;
}

export const forwarding: Check = (examination) =>
  FAMILIES.flatMap((family) => {
    const key = FORWARDING[family];
    const names = routed(examination)
      .filter(({ families }) => families.includes(family))
      .map(({ network }) => `"${network.list.name}"`);
    const value = readSysctl(key);
    if (names.length === 0 || value === undefined || value !== '0') return [];
    return [
      {
        check: 'forwarding',
        what: `The host does not forward IPv${family}`,
        evidence: `${key} is ${value}, and containers are attached to ${names.join(', ')}`,
        effect: 'containers reach the host and each other, but nothing beyond',
        mend: `sysctl -w ${key}=1; if it is off again after a boot, a file in /etc/sysctl.d switches it off`,
        fix: () => writeSysctl(key, '1'),
      },
    ];
  });

/**
 * NB: the plugin firewall gets packets past iptables' own FORWARD chain. Nothing gets them past an nft chain with that
 * policy.
 */
export const otherFirewalls: Check = (examination) => {
  using nft = tryOpenNft();
  const dropping = nft === undefined ? [] : droppingForward(nft);
  return routed(examination).flatMap(({ network: { list, file }, families }) => {
    const hasFirewall = list.plugins.some(({ type }) => type === 'firewall');
    const closed = dropping.filter((chain) => !hasFirewall || !/^ip6? filter FORWARD$/.test(chain));
    const legacy = families.flatMap((family) => {
      const way = legacyWayOut(family);
      return way === undefined ? [] : [legacyFinding(list.name, family, way, hasFirewall ? undefined : file)];
    });
    const modern = closed.map((chain) => {
      const isIptables = / filter FORWARD$/.test(chain);
      return {
        check: 'other-firewall',
        what: `A firewall drops what containers of "${list.name}" send beyond the host`,
        evidence: `the chain "${chain}" drops what none of its rules accepts`,
        effect:
          'unless a rule of it says otherwise, containers reach nothing beyond the host, and published ports do not answer',
        mend: isIptables
          ? `add {"type": "firewall"} to the plugins of "${file}", and attach the containers again`
          : `in that chain, accept what comes from and goes to the interfaces of the network`,
      };
    });
    return [...modern, ...legacy];
  });
};

/** @param file the network's conflist where it lacks a plugin that marks the packets that may pass */
function legacyFinding(network: string, family: 4 | 6, way: string, file: string | undefined): Finding {
  const first =
    file === undefined ? '' : `add {"type": "firewall"} to the plugins of "${file}", attach the containers again, and `;
  return {
    check: 'other-firewall',
    what: `The legacy iptables drops what containers of "${network}" send beyond the host by IPv${family}`,
    evidence: 'its chain FORWARD drops what none of its rules accepts, and none accepts the mark of netloom',
    effect:
      'unless a rule of it says otherwise, containers reach nothing beyond the host, and published ports do not answer',
    mend: `${first}run ${way}, at each boot, or use iptables-nft in place of iptables-legacy`,
  };
}

export const mtus: Check = ({ graph, attachments }) => {
  const found = new Map<string, Finding>();
  for (const path of graph.paths()) {
    const start = path[0]?.link;
    for (const [i, { link, join }] of path.entries()) {
      if (start === undefined || link === undefined || i === 0 || link.mtu >= start.mtu || link.kind === 'bridge')
        continue;
      if (!isAttachment(attachments, start)) continue;
      const who = nameOf(graph.namespaceOf(start));
      found.set(start.id, {
        check: 'mtu',
        what: `"${start.name}" of "${who}" sends packets that "${link.name}" cannot carry`,
        evidence: `mtu ${start.mtu}, and mtu ${link.mtu} ${join === 'on' ? 'of the link below' : 'on the way out'}`,
        effect:
          join === 'nat' || join === 'routed'
            ? 'connections hang if a firewall drops "packet too big"'
            : 'long packets are lost',
        mend: `set "mtu": ${link.mtu} in the conflist of "${start.network}", and attach the container again`,
      });
    }
  }
  return [...found.values()];
};

export const reversePaths: Check = ({ snapshot, attachments }) =>
  snapshot.namespaces.filter(({ isHost }) => !isHost).flatMap((namespace) => strictIn(namespace, attachments));

/** Whether a link is an attachment: only those are checked. */
function isAttachment(attachments: Examination['attachments'], { name, network, container }: LinkEntry): boolean {
  return attachments.some((each) => each.network === network && each.containerId === container && each.ifname === name);
}

/** A strict filter drops a packet that arrives on one interface if the route back to its sender is by another. */
function strictIn(namespace: NamespaceEntry, attachments: Examination['attachments']): Finding[] {
  const isIpv4 = ({ address, scope }: LinkEntry['addresses'][number]) => scope === 'global' && !address.includes(':');
  const wired = namespace.links.filter((link) => isAttachment(attachments, link) && link.addresses.some(isIpv4));
  const isDefault = (id: string) => namespace.routes.some(({ to, link }) => to === 'default' && link === id);
  const [path] = [...namespace.pins, ...namespace.pids.map((pid) => `/proc/${pid}/ns/net`)];
  if (wired.length < 2 || path === undefined) return [];
  const inside = <T>(action: () => T): T => {
    using netns = openNetns(path);
    return withNetns(netns, action as () => never);
  };
  return wired
    .filter(({ id }) => !isDefault(id))
    .flatMap((link) => {
      const key = (name: string) => `net/ipv4/conf/${name}/rp_filter`;
      const values = inside(() => ({ all: readSysctl(key('all')) ?? '0', own: readSysctl(key(link.name)) ?? '0' }));
      // The higher value applies. Documentation/networking/ip-sysctl.rst
      if (Math.max(Number(values.all), Number(values.own)) !== 1) return [];
      return [
        {
          check: 'reverse-path',
          what: `"${link.name}" of "${nameOf(namespace)}" drops what comes from beyond its subnet`,
          evidence: `rp_filter is ${values.own} there and ${values.all} for all, and the default route is by another interface`,
          effect: 'a client that reaches the container by this network from elsewhere gets no answer',
          mend: 'set rp_filter to 2 in the container, or chain {"type": "sbr"} so that answers go back the same way',
          fix: () => inside(() => writeSysctl(key(link.name), '2')),
        },
      ];
    });
}
