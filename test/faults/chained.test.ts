/**
 * The chained plugins that shape what others have made (tuning, bandwidth, sbr), behind a bridge. Each libc call fails
 * in turn, in process; SIGKILL comes before each system call, with the executable. A failed ADD leaves the attachment
 * as the bridge made it, and so does DEL after any failure.
 */
import './faulty-ffi.ts';
import test, { type ExecutionContext } from 'ava';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, type Json, Lab } from '../support/lab.ts';
import { eachKill } from './killed.ts';
import { call, eachAddThatFails, eachCall, faulty, type Scene, WORDS, whatFailed } from './rounds.ts';
import { settled } from './settled.ts';
import { stateOfBoth } from './state.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
const bridge = bridgeConf({ ipam });
const limits = { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 };
const chained = (type: string, more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net', type, ...more });

interface Case {
  readonly title: string;
  readonly conf: Json;
  /** The least number of calls in an ADD and a DEL that can fail. It catches a test that tests nothing. */
  readonly calls: readonly [add: number, del: number];
}

const cases: readonly Case[] = [
  {
    title: 'tuning',
    conf: chained('tuning', {
      // One character each: the kernel parses each write to a setting by itself, so a number split over two writes
      // becomes two numbers.
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

/** A container on a bridge that has another container already. */
function attached(t: ExecutionContext, { conf }: Case): Scene {
  const lab = new Lab(t);
  lab.add(bridge, { sandbox: lab.sandbox('neighbour') });
  const sandbox = lab.sandbox('victim');
  return {
    lab,
    target: { sandbox },
    conf: { ...conf, prevResult: lab.add(bridge, { sandbox }) },
    look: () => stateOfBoth(lab, sandbox),
  };
}

for (const one of cases) {
  for (const fault of ['fail', 'lose'] as const) {
    test.serial(
      `ADD of ${one.title}: whichever call ${WORDS[fault]}, an ADD that fails leaves nothing, and DEL takes back what it did`,
      (t) => {
        const { points, failures } = eachAddThatFails(t, attached(t, one), fault);
        t.true(points >= (fault === 'fail' ? one.calls[0] : one.calls[0] / 6), `${points} points`);
        t.true(failures > points / 3, `${failures} failures`);
      },
    );

    test.serial(`DEL of ${one.title}: whichever call ${WORDS[fault]}, another DEL finishes`, (t) => {
      let it = attached(t, one);
      let before = it.look();
      const points = eachCall((n) => {
        const { lab, target, conf } = it;
        t.is(call(lab, 'ADD', conf, target).status, 0);
        const { calls, end } = faulty(fault, n, () => call(lab, 'DEL', conf, target));
        const what = whatFailed(calls, n, end);
        t.is(call(lab, 'DEL', conf, target).status, 0, what);
        if (calls[n - 1] === 'ioctl' && end.status === 0) {
          // DEL took the path for something that is not a namespace, hence for a container that is gone. Make a new
          // container.
          lab.del(bridge, target);
          it = { ...it, conf: { ...one.conf, prevResult: lab.add(bridge, target) } };
          before = it.look();
          return calls;
        }
        t.is(settled(it.look, before), before, what);
        return calls;
      });
      t.log(`${points} calls`);
      t.true(points >= (fault === 'fail' ? one.calls[1] : one.calls[1] / 6), `${points} points`);
    });
  }

  for (const fault of ['interrupt', 'shorten'] as const) {
    test.serial(`ADD and DEL of ${one.title}: whichever call ${WORDS[fault]}, they succeed`, (t) => {
      const { lab, target, conf, look } = attached(t, one);
      const before = look();
      eachCall((n) => {
        const { calls } = faulty(fault, n, () => {
          const [added, deleted] = [call(lab, 'ADD', conf, target), call(lab, 'DEL', conf, target)];
          t.deepEqual([added.status, deleted.status], [0, 0], `call ${n}\n${added.stdout}${deleted.stdout}`);
          return deleted;
        });
        return calls;
      });
      t.is(settled(look, before), before);
    });
  }

  for (const command of ['ADD', 'DEL'] as const) {
    test.serial(`${command} of ${one.title} killed before whichever system call: DEL leaves nothing`, (t) => {
      const points = eachKill(t, attached(t, one), command);
      t.true(points > 10, `${points} calls`);
    });
  }
}
