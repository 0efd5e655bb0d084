/** The differences between two snapshots: of one machine, or of two machines that use the same names. */
import { Graph, nameOf } from './graph.ts';
import type { NamespaceEntry, Snapshot } from './snapshot.ts';
import { routeWords } from './text.ts';

export interface Difference {
  readonly change: 'added' | 'removed' | 'changed';
  /** `web eth0` */
  readonly what: string;
  /** For a changed object: `mtu`, `state`, … */
  readonly property?: string;
  readonly was?: string;
  readonly is?: string;
}

/** Objects by name, each with its properties. */
type Facts = ReadonlyMap<string, Readonly<Record<string, string>>>;

/**
 * NB: compares by name, not by identifier, so that a recreated container is compared with its predecessor, and two
 * hosts can be compared.
 */
export function difference(before: Snapshot, after: Snapshot): Difference[] {
  const [old, now] = [factsOf(before), factsOf(after)];
  const removed = [...old.keys()]
    .filter((what) => !now.has(what))
    .map((what) => ({ change: 'removed' as const, what }));
  const rest = [...now].flatMap(([what, properties]): Difference[] => {
    const was = old.get(what);
    if (was === undefined) return [{ change: 'added', what }];
    const names = [...new Set([...Object.keys(was), ...Object.keys(properties)])];
    return names
      .filter((property) => was[property] !== properties[property])
      .map((property) => ({
        change: 'changed',
        what,
        property,
        was: was[property] ?? '',
        is: properties[property] ?? '',
      }));
  });
  const added = rest.filter(({ change }) => change === 'added');
  return [...removed, ...added, ...rest.filter(({ change }) => change === 'changed')];
}

/** `+ web eth0`, `~ web eth0: mtu 1500 → 1400` */
export function differenceWords({ change, what, property, was, is }: Difference): string {
  if (change !== 'changed') return `${change === 'added' ? '+' : '-'} ${what}`;
  return `~ ${what}: ${property} ${was || 'none'} → ${is || 'none'}`;
}

function factsOf(snapshot: Snapshot): Facts {
  const graph = new Graph(snapshot);
  const facts = new Map<string, Record<string, string>>();
  const labels = labelsOf(snapshot.namespaces);
  for (const namespace of snapshot.namespaces) {
    const label = labels.get(namespace) ?? '';
    const name = (id: string | undefined) => {
      const link = graph.link(id);
      return link === undefined ? '' : `${labels.get(graph.namespaceOf(link))} ${link.name}`;
    };
    facts.set(label, { forwards: namespace.forwards.join(' ') });
    for (const link of namespace.links) {
      facts.set(`${label} ${link.name}`, {
        kind: link.kind ?? '',
        state: link.state,
        mtu: String(link.mtu),
        mac: link.mac ?? '',
        addresses: link.addresses
          .map(({ address }) => address)
          .sort()
          .join(' '),
        master: name(link.master),
        peer: name(link.peer),
        lower: name(link.lower),
        details: JSON.stringify(link.details ?? {}),
      });
    }
    for (const route of namespace.routes) facts.set(`${label} route ${routeWords(graph, route)}`, {});
    for (const { source } of namespace.masquerades) facts.set(`${label} masquerade ${source}`, {});
  }
  return facts;
}

/**
 * The name of each namespace, with a number where several have the same. NB: a process's number is not part of the
 * name, because it changes.
 */
function labelsOf(namespaces: readonly NamespaceEntry[]): ReadonlyMap<NamespaceEntry, string> {
  const count = new Map<string, number>();
  return new Map(
    namespaces.map((namespace) => {
      const [first] = namespace.names;
      const name = first?.kind === 'process' ? (namespace.command ?? first.name) : nameOf(namespace);
      const number = (count.get(name) ?? 0) + 1;
      count.set(name, number);
      return [namespace, number === 1 ? name : `${name} (${number})`];
    }),
  );
}
