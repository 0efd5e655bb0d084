/**
 * Each libc call that a plugin makes fails in turn, in process. A failed ADD leaves links, addresses, routes, nft
 * elements, leases and settings as it found them. After a failed DEL, another DEL does the rest, whichever call failed.
 *
 * Two things may stay. One is forwarding, because others may rely on it once it is on; here it is on from the start.
 * The other is bookkeeping files of host-local (lock, last_reserved_ip, the index). The nft table goes with its last
 * element.
 */
import '../faulty-ffi.ts';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, files, type Sandbox } from '../../support/host.ts';
import { bridgeConf, type Json, Lab } from '../../support/lab.ts';
import { call, eachCall, faulty, hasFailedCleanly, WORDS, whatFailed } from '../rounds.ts';
import { settled } from '../settled.ts';
import { stateOf } from '../state.ts';

becomeHost();
for (const key of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${key}`, '1');

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
/** The network of the neighbour. */
export const bridge = bridgeConf({ ipMasq: true, ipam });

export interface LibcFaultCase {
  readonly title: string;
  readonly conf: Json;
  /** Makes what else the case needs; called before each round. */
  readonly prepare?: () => void;
  /** Whether the bridge `cni0` has a container already, so that the network has its addresses and its nft objects. */
  readonly hasNeighbour: boolean;
  /** Test GC, too. */
  readonly isCollected?: true;
  /** Test only ADD; another case covers the rest. */
  readonly isShort?: true;
  /** The least number of calls in an ADD and a DEL that a fault can hit. */
  readonly least?: Readonly<Record<'fail' | 'lose', readonly [add: number, del: number]>>;
}

/** The tests of one case. They take minutes, so a few cases share a file. */
export function libcFaults(one: LibcFaultCase): void {
  const least = one.least ?? { fail: [60, 25], lose: [20, 5] };
  for (const fault of ['fail', 'lose'] as const) {
    test.serial(
      `ADD of ${one.title}: whichever call ${WORDS[fault]}, an ADD that fails leaves nothing, and DEL succeeds`,
      (t) => {
        const { lab, target } = labFor(t, one);
        let failures = 0;
        const points = eachCall((n) => {
          one.prepare?.();
          const before = stateOf(lab);
          const { calls, end } = faulty(fault, n, () => call(lab, 'ADD', one.conf, target));
          const what = whatFailed(calls, n, end);
          if (end.status !== 0) {
            failures++;
            hasFailedCleanly(t, end, () => stateOf(lab), before, what);
          }
          t.is(call(lab, 'DEL', one.conf, target).status, 0, what);
          t.notRegex(lab.snapshot(), /victim/, what);
          t.is(target.sandbox.ip('link').length, 1, what);
          if (end.status !== 0)
            t.is(
              settled(() => stateOf(lab), before),
              before,
              what,
            );
          return calls;
        });
        t.log(`${points} calls, ${failures} failed ADDs`);
        t.true(points > least[fault][0], `${points} points`);
        t.true(failures > points / 3, `${failures} failures`);
      },
    );

    if (one.isShort || one.conf['type'] === 'ptp') continue; // DEL of ptp is that of bridge
    test.serial(`DEL of ${one.title}: whichever call ${WORDS[fault]}, another DEL finishes`, (t) => {
      const { lab, target } = labFor(t, one);
      let failures = 0;
      const points = eachCall((n) => {
        one.prepare?.();
        t.is(call(lab, 'ADD', one.conf, target).status, 0);
        const { calls, end } = faulty(fault, n, () => call(lab, 'DEL', one.conf, target));
        const what = whatFailed(calls, n, end);
        if (end.status === 0) t.notRegex(lab.snapshot(), /victim/, `a DEL that succeeded, ${what}`);
        else failures++;
        t.true(
          end.status === 0 || keepsLeases(lab, one, target),
          `the address is free before the link is gone, ${what}`,
        );
        t.is(call(lab, 'DEL', one.conf, target).status, 0, what);
        t.notRegex(lab.snapshot(), /victim/, what);
        return calls;
      });
      t.log(`${points} calls, ${failures} failed DELs`);
      t.true(points > least[fault][1], `${points} points`);
    });
  }

  if (one.isCollected) {
    test.serial(`ADD of ${one.title}: what cannot be undone keeps its addresses until DEL`, (t) => {
      const { lab, target } = labFor(t, one);
      const points = eachCall((n) => {
        one.prepare?.();
        const { calls, end } = faulty('mute', n, () => call(lab, 'ADD', one.conf, target));
        const what = `message ${n}\n${end.stdout}${end.stderr}`;
        t.true(keepsLeases(lab, one, target), what);
        t.is(call(lab, 'DEL', one.conf, target).status, 0, what);
        t.notRegex(files(lab.root).join('\n'), /victim/, what);
        t.is(target.sandbox.ip('link').length, 1, what);
        return calls;
      });
      t.true(points > 4, `${points} points`);
    });

    test.serial(`GC of ${one.title}: whichever call fails, no address is free before its link is gone`, (t) => {
      const { lab, target } = labFor(t, one);
      const valid = one.hasNeighbour ? [{ containerID: 'neighbour', ifname: 'eth0' }] : [];
      const conf = { ...one.conf, 'cni.dev/valid-attachments': valid };
      const points = eachCall((n) => {
        one.prepare?.();
        t.is(call(lab, 'ADD', one.conf, target).status, 0);
        const { calls, end } = faulty('fail', n, () => call(lab, 'GC', conf, {}));
        const what = whatFailed(calls, n, end);
        t.true(keepsLeases(lab, one, target), what);
        t.is(call(lab, 'GC', conf, {}).status, 0, what);
        t.notRegex(files(lab.root).join('\n'), /victim/, what);
        t.is(target.sandbox.ip('link').length, 1, what);
        return calls;
      });
      t.true(points > 25, `${points} points`);
    });
  }

  if (one.hasNeighbour || one.isShort) return;
  for (const fault of ['interrupt', 'shorten'] as const) {
    test.serial(`ADD and DEL of ${one.title}: whichever call ${WORDS[fault]}, they succeed`, (t) => {
      const { lab, target } = labFor(t, one);
      one.prepare?.();
      const points = eachCall((n) => {
        one.prepare?.();
        const { calls, end } = faulty(fault, n, () => {
          const added = call(lab, 'ADD', one.conf, target);
          const deleted = call(lab, 'DEL', one.conf, target);
          return { status: added.status + deleted.status, stdout: added.stdout + deleted.stdout, stderr: added.stderr };
        });
        t.is(end.status, 0, `call ${n}, ${calls[n - 1]}\n${end.stdout}`);
        return calls;
      });
      t.notRegex(lab.snapshot(), /victim/);
      t.log(`${points} calls`);
      // A chained plugin has no file whose reads or writes could be cut short.
      const fewest = fault === 'interrupt' ? 50 : one.conf['prevResult'] === undefined ? 10 : -1;
      t.true(points > fewest, `${points} points`);
    });
  }
}

function labFor(t: ExecutionContext, { hasNeighbour }: LibcFaultCase) {
  const lab = new Lab(t);
  mkdirSync(`${lab.root}/bin`);
  // host-local runs in process if CNI_PATH leads to the executable that runs here, which is Node.
  symlinkSync(process.execPath, `${lab.root}/bin/host-local`);
  if (hasNeighbour) t.is(call(lab, 'ADD', bridge, { sandbox: lab.sandbox('neighbour') }).status, 0);
  return { lab, target: { sandbox: lab.sandbox('victim') } };
}

/** Whether each address that the container answers for has a lease, so that nobody else gets that address. */
function keepsLeases({ root }: Lab, { conf }: LibcFaultCase, { sandbox }: { readonly sandbox: Sandbox }): boolean {
  if (conf['ipam'] === undefined) return true;
  const leases = files(root)
    .filter((file) => /^var\/lib\/cni\/networks\/net\/.*: victim\b/.test(file))
    .join('\n');
  const addresses = sandbox
    .ip<{ addr_info: readonly { local: string; scope: string }[] }>('addr')
    .flatMap(({ addr_info: all }) => all.filter(({ scope }) => scope === 'global'));
  return addresses.every(({ local }) => leases.includes(`/${local}: `));
}
