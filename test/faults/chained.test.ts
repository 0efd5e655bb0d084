/**
 * The chained plugins that shape what others have made (tuning, bandwidth, sbr), behind a bridge: each call of libc fails in turn, in process; SIGKILL comes before each system call,
 * with the executable. A failed ADD leaves the attachment as the bridge made it, and so does DEL after whatever happened.
 */
import './faulty-ffi.ts';
import { readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Target } from '../support/lab.ts';
import { CALLS, isKilled } from './killed.ts';
import { call, eachCall, faulty, hasFailedCleanly, settled, stateOf, WORDS } from './rounds.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
const bridge = bridgeConf({ ipam });
const limits = { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 };
const chained = (type: string, more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net', type, ...more });

interface Case {
  readonly title: string;
  readonly conf: Json;
  /** How many calls an ADD and a DEL have, at least, that can fail: so that a test which tests nothing is noticed. */
  readonly calls: readonly [add: number, del: number];
}

const cases: readonly Case[] = [
  {
    title: 'tuning',
    conf: chained('tuning', {
      // One character each: the kernel takes each write of a setting by itself, so that a number cut in two is two numbers.
      sysctl: { 'net.ipv4.conf.IFNAME.log_martians': '1', 'net/ipv4/conf/IFNAME/arp_ignore': '1' },
      mac: '02:00:00:00:00:99',
      mtu: 1400,
      promisc: true,
      allmulti: true,
      txQLen: 55,
    }),
    calls: [40, 20],
  },
  { title: 'bandwidth', conf: chained('bandwidth', limits), calls: [20, 15] },
  {
    title: 'bandwidth with subnets',
    conf: chained('bandwidth', { ...limits, shapedSubnets: ['10.9.0.0/16', 'fd09::/32'] }),
    calls: [20, 15],
  },
  { title: 'sbr', conf: chained('sbr'), calls: [15, 15] },
];

interface Attached {
  readonly lab: Lab;
  readonly target: Target & { readonly sandbox: Sandbox };
  readonly conf: Json;
}

/** A container on a bridge, beside another. */
function attached(t: ExecutionContext, { conf }: Case): Attached {
  const lab = new Lab(t);
  lab.add(bridge, { sandbox: lab.sandbox('neighbour') });
  const target = { sandbox: lab.sandbox('victim') };
  return { lab, target, conf: { ...conf, prevResult: lab.add(bridge, target) } };
}

/** The host and the container. */
function everything({ lab, target: { sandbox } }: Attached): string {
  const inside = (...args: string[]) =>
    sandbox.run('ip', ...args).replace(/valid_lft.*|state [A-Z]+|,LOWER_UP|promiscuity \d+/g, '');
  // Link-local addresses, and routes to one's own, come by themselves, some time after the link.
  const sorted = (text: string) =>
    text
      .split('\n')
      .filter((line) => !/fe80::|ff00::|table local/.test(line))
      .sort()
      .join('\n');
  return [
    stateOf(lab),
    sorted(inside('-d', '-o', 'addr')),
    inside('-d', '-o', 'link'),
    ...['-4', '-6'].flatMap((family) => [
      inside(family, 'rule'),
      sorted(inside(family, 'route', 'show', 'table', 'all')),
    ]),
    sandbox.run('sh', '-c', 'cat /proc/sys/net/ipv4/conf/eth0/*'),
    ...readdirSync(lab.root, { recursive: true, encoding: 'utf8' }).filter((path) => /\.json|\.tmp/.test(path)),
  ].join('\n');
}

for (const one of cases) {
  for (const fault of ['fail', 'lose'] as const) {
    test.serial(
      `ADD of ${one.title}: whichever call ${WORDS[fault]}, an ADD that fails leaves nothing, and DEL takes back what it did`,
      (t) => {
        const it = attached(t, one);
        const { lab, target, conf } = it;
        const before = everything(it);
        let failures = 0;
        const points = eachCall((n) => {
          const { calls, end } = faulty(fault, n, () => call(lab, 'ADD', conf, target));
          const what = `call ${n}, ${calls[n - 1]}, after ${calls.slice(0, n - 1).slice(-3)}\n${end.stdout}${end.stderr}`;
          if (end.status !== 0) {
            failures++;
            hasFailedCleanly(t, end, () => everything(it), before, what);
          }
          t.is(call(lab, 'DEL', conf, target).status, 0, what);
          t.is(
            settled(() => everything(it), before),
            before,
            what,
          );
          return calls;
        });
        t.log(`${points} calls, ${failures} failed ADDs`);
        t.true(points >= (fault === 'fail' ? one.calls[0] : one.calls[0] / 6), `${points} points`);
        t.true(failures > points / 3, `${failures} failures`);
      },
    );

    test.serial(`DEL of ${one.title}: whichever call ${WORDS[fault]}, another DEL finishes`, (t) => {
      let it = attached(t, one);
      let before = everything(it);
      const points = eachCall((n) => {
        const { lab, target, conf } = it;
        t.is(call(lab, 'ADD', conf, target).status, 0);
        const { calls, end } = faulty(fault, n, () => call(lab, 'DEL', conf, target));
        const what = `call ${n}, ${calls[n - 1]}, after ${calls.slice(0, n - 1).slice(-3)}\n${end.stdout}${end.stderr}`;
        t.is(call(lab, 'DEL', conf, target).status, 0, what);
        if (calls[n - 1] === 'ioctl' && end.status === 0) {
          // The path was taken for none of a namespace, so whatever was in there is gone: another container.
          lab.del(bridge, target);
          it = { ...it, conf: { ...one.conf, prevResult: lab.add(bridge, target) } };
          before = everything(it);
          return calls;
        }
        t.is(
          settled(() => everything(it), before),
          before,
          what,
        );
        return calls;
      });
      t.log(`${points} calls`);
      t.true(points >= (fault === 'fail' ? one.calls[1] : one.calls[1] / 6), `${points} points`);
    });
  }

  for (const fault of ['interrupt', 'shorten'] as const) {
    test.serial(`ADD and DEL of ${one.title}: whichever call ${WORDS[fault]}, they succeed`, (t) => {
      const it = attached(t, one);
      const { lab, target, conf } = it;
      const before = everything(it);
      eachCall((n) => {
        const { calls } = faulty(fault, n, () => {
          const [added, deleted] = [call(lab, 'ADD', conf, target), call(lab, 'DEL', conf, target)];
          t.deepEqual([added.status, deleted.status], [0, 0], `call ${n}\n${added.stdout}${deleted.stdout}`);
          return deleted;
        });
        return calls;
      });
      t.is(
        settled(() => everything(it), before),
        before,
      );
    });
  }

  for (const command of ['ADD', 'DEL'] as const) {
    test.serial(`${command} of ${one.title} killed before whichever system call: DEL leaves nothing`, (t) => {
      const it = attached(t, one);
      const { lab, target, conf } = it;
      const before = everything(it);
      let points = 0;
      for (const name of CALLS) {
        for (let n = 1; ; n++) {
          if (command === 'DEL') lab.add(conf, target);
          const killed = isKilled(lab, command, conf, target, `${name}:signal=KILL:when=${n}`);
          lab.del(conf, target);
          t.is(
            settled(() => everything(it), before),
            before,
            `${command} killed before ${name}, the ${n}th`,
          );
          if (!killed) break;
          points++;
        }
      }
      t.log(`${points} calls`);
      t.true(points > 10, `${points} calls`);
    });
  }
}
