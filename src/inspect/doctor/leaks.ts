/**
 * Leftovers of attachments that no runtime remembers: links, leases, elements; and attachments whose namespace is gone.
 */
import { tryList } from '../../ffi/directory.ts';
import { tryReadText } from '../../ffi/file.ts';
import { parseLease } from '../../ipam/host-local/lease.ts';
import { release } from '../../ipam/host-local/store.ts';
import { Ip } from '../../net/ip.ts';
import { tryOpenNetns } from '../../netns/namespace.ts';
import * as masquerade from '../../nft/masquerade.ts';
import { openNft, tryOpenNft } from '../../nft/socket.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { EndpointStore } from '../../runtime/endpoints.ts';
import { lostEndpoints } from '../../runtime/lost-endpoints.ts';
import { findSandbox, sandboxNetns, sandboxRecords } from '../../runtime/sandbox/store.ts';
import { wordsOf } from '../../runtime/target.ts';
import { restore } from '../../runtime/upkeep.ts';
import type { Check, Examination } from './finding.ts';

const COLLECTING = '"netloom gc" removes what belongs to no attachment';

const OURS = '"netloom gc" removes it; where the container runs again, "netloom restore" connects it again';

/** The attachments that runtimes remember, as `network/container/ifname`. */
function known({ attachments }: Examination): ReadonlySet<string> {
  return new Set(attachments.map(ownerWords));
}

/**
 * NB: a plugin that was called by hand leaves no record, nor does a runtime that keeps its records elsewhere, and
 * "netloom gc" removes such links. So a link in use is only reported, and left to a person; only one that leads nowhere
 * is removed here.
 */
export const leakedLinks: Check = (examination) => {
  const valid = known(examination);
  const host = examination.snapshot.namespaces.find(({ isHost }) => isHost);
  return (host?.links ?? []).flatMap((each) => {
    const owner = ownerIn(each.alias);
    if (owner === undefined || valid.has(owner)) return [];
    const isInUse = examination.graph.link(each.peer) !== undefined;
    return [
      {
        check: 'leaked-link',
        what: `The link "${each.name}" belongs to an attachment that no runtime remembers`,
        evidence: `its alias is "${each.alias}", and "${examination.context.paths.cni}/results" has no such attachment`,
        effect: 'it stays until it is removed, and a container of that name cannot be attached again',
        mend: isInUse
          ? `${COLLECTING}; if the plugin was called by hand, call its DEL`
          : `remove it: ip link del ${each.name}`,
        ...(!isInUse && { fix: () => removeLink(each.index) }),
      },
    ];
  });
};

export const leakedLeases: Check = (examination) => {
  const valid = known(examination);
  const {
    paths: { leases, state },
    warn,
  } = examination.context;
  return (tryList(leases) ?? []).sort().flatMap((network) =>
    (tryList(`${leases}/${network}`) ?? []).sort().flatMap((address) => {
      const ip = Ip.tryParse(address);
      const file = `${leases}/${network}/${address}`;
      const content = ip === undefined ? undefined : parseLease(tryReadText(file) ?? '');
      if (ip === undefined || content?.state !== 'owned') return [];
      const { containerId, ifname } = content.owner;
      if (valid.has(`${network}/${containerId}/${ifname}`) || ifname === '') return [];
      return [
        {
          check: 'leaked-lease',
          what: `The address ${address} of the network "${network}" is taken by an attachment that no runtime remembers`,
          evidence: `"${file}" names "${ifname}" of "${containerId}"`,
          effect: 'no other container gets the address; when all are taken, containers do not start',
          mend: COLLECTING,
          ...(!isUsed(examination, ip) && {
            fix: () => void release({ dataDir: leases, network, state, warn }, content.owner),
          }),
        },
      ];
    }),
  );
};

export const leakedElements: Check = (examination) => {
  using nft = tryOpenNft();
  if (nft === undefined) return [];
  const valid = known(examination);
  return masquerade.list(nft).flatMap((entry) =>
    valid.has(entry.comment) || entry.comment.startsWith('#')
      ? []
      : [
          {
            check: 'leaked-element',
            what: `The address ${entry.ip} is masqueraded for an attachment that no runtime remembers`,
            evidence: `a map of the table "inet netloom" has ${entry.ip} with the comment "${entry.comment}"`,
            effect: 'the next container with the address is masqueraded, even if its network does not ask for that',
            mend: COLLECTING,
            ...(!isUsed(examination, entry.ip) && { fix: () => removeMasquerade(entry) }),
          },
        ],
  );
};

/** Whether any interface has the address now. */
function isUsed({ snapshot }: Examination, ip: Ip): boolean {
  const links = snapshot.namespaces.flatMap(({ links: own }) => own);
  return links.some(({ addresses }) => addresses.some(({ address }) => address.startsWith(`${ip}/`)));
}

function removeLink(index: number): void {
  using nl = openRoute();
  nl.execute(link.remove({ index }));
}

function removeMasquerade(entry: masquerade.Masquerade): void {
  using nft = openNft();
  masquerade.remove(nft, entry);
}

/** Without those whose records are lost: lost.ts reports them. */
export const goneNamespaces: Check = ({ context, attachments }) => [
  ...withoutLost(context, attachments).flatMap(({ network, containerId, ifname, netns }) =>
    netns === '' || isThere(netns)
      ? []
      : [
          {
            check: 'gone-namespace',
            what: `The namespace of "${wordsOfOwn(context, containerId, network, ifname) ?? containerId}", attached to "${network}" by "${ifname}", is gone`,
            evidence: `no namespace is at "${netns}"`,
            effect: 'its addresses and ports stay taken',
            ...(isSandbox(context, containerId)
              ? { mend: '"netloom restore" brings the sandbox back', fix: () => restore(context, () => {}) }
              : {
                  mend:
                    wordsOfOwn(context, containerId, network, ifname) === undefined
                      ? 'its runtime removes the container'
                      : OURS,
                }),
          },
        ],
  ),
  ...sandboxRecords(context)
    .list()
    .filter(({ name, mode }) => mode !== 'host' && !isThere(sandboxNetns(context, name)))
    .map(({ name }) => ({
      check: 'gone-sandbox',
      what: `The sandbox "${name}" has no namespace`,
      evidence: `no namespace is at "${sandboxNetns(context, name)}"`,
      effect: 'nothing can run in it',
      mend: '"netloom restore" makes it again, with its networks',
      fix: () => restore(context, () => {}),
    })),
];

function withoutLost(context: Examination['context'], attachments: Examination['attachments']) {
  const lost = new Set(lostEndpoints(context).map(({ attachment }) => ownerWords(attachment)));
  return attachments.filter((each) => !lost.has(ownerWords(each)));
}

function ownerWords({ network, containerId, ifname }: Examination['attachments'][number]): string {
  return `${network}/${containerId}/${ifname}`;
}

/** Its name, such as `docker:web`, where "netloom connect" made the attachment. */
function wordsOfOwn(
  context: Examination['context'],
  container: string,
  network: string,
  ifname: string,
): string | undefined {
  const endpoints = new EndpointStore(context).of(container);
  const own = endpoints.find((each) => each.network === network && each.ifname === ifname);
  return own && wordsOf(own.target);
}

function isSandbox(context: Examination['context'], name: string): boolean {
  try {
    return findSandbox(context, name) !== undefined;
  } catch {
    return false;
  }
}

/** NB: a pin may leave an empty file, where the directory outlives a boot. */
function isThere(path: string): boolean {
  try {
    using netns = tryOpenNetns(path);
    return netns !== undefined;
  } catch {
    return false;
  }
}

function ownerIn(alias: string | undefined): string | undefined {
  const owner = alias?.startsWith('netloom:') === true ? alias.slice('netloom:'.length) : undefined;
  return owner?.startsWith('#') === true ? undefined : owner;
}
