/**
 * portmap behind bridge. Each libc call fails in turn, and SIGKILL comes before each system call in turn. A failed ADD
 * leaves the host's elements, chains and route_localnet as they were. Another DEL does the rest after a failed DEL or a
 * kill.
 */
import './faulty-ffi.ts';
import test, { type ExecutionContext } from 'ava';
import { portmapConf } from '../plugins/portmap/publisher.ts';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, type Json, Lab } from '../support/lab.ts';
import { eachKill } from './killed.ts';
import { call, eachAddThatFails, eachCall, eachDelThatFails, faulty, type Scene, WORDS } from './rounds.ts';
import { settled } from './settled.ts';
import { stateOf } from './state.ts';

becomeHost();

const bridge = bridgeConf({
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] },
});
const ports = [
  { hostPort: 80, containerPort: 80, protocol: 'tcp' },
  { hostPort: 53, containerPort: 53, protocol: 'udp' },
  { hostPort: 81, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' },
];

interface Case {
  readonly title: string;
  readonly conf: Json;
  /** Whether another container has published ports already, so that the network has its objects. */
  readonly hasNeighbour: boolean;
}

const cases: readonly Case[] = [
  { title: 'the first who publishes', conf: portmapConf(ports), hasNeighbour: false },
  {
    title: 'another who publishes',
    conf: portmapConf(ports, { conditionsV4: ['!', '-s', '192.0.2.0/24'] }),
    hasNeighbour: true,
  },
];

/** An attached container that asks for ports. */
function scene(t: ExecutionContext, { conf, hasNeighbour }: Case): Scene {
  const lab = new Lab(t);
  const attach = (name: string) => {
    const sandbox = lab.sandbox(name);
    return { sandbox, prevResult: lab.add(bridge, { sandbox }) };
  };
  const neighbour = attach('neighbour');
  const theirs = [
    { hostPort: 81, containerPort: 80, protocol: 'tcp', hostIP: '10.1.0.1' },
    { hostPort: 82, containerPort: 80, protocol: 'tcp' },
  ];
  const conditions = { conditionsV4: ['-i', 'cni0'] };
  if (hasNeighbour) lab.add({ ...portmapConf(theirs, conditions), prevResult: neighbour.prevResult }, neighbour);
  const { sandbox, prevResult } = attach('victim');
  return {
    lab,
    target: { sandbox },
    conf: { ...conf, prevResult },
    delConf: portmapConf(undefined),
    look: () => stateOf(lab),
  };
}

for (const one of cases) {
  for (const fault of ['fail', 'lose'] as const) {
    test.serial(
      `ADD of ${one.title}: whichever call ${WORDS[fault]}, an ADD that fails leaves nothing, and DEL succeeds`,
      (t) => {
        const { points, failures } = eachAddThatFails(t, scene(t, one), fault);
        t.true(points > (fault === 'fail' ? 40 : 12), `${points} points`);
        t.true(failures > points / 4, `${failures} failures`);
      },
    );

    test.serial(`DEL of ${one.title}: whichever call ${WORDS[fault]}, another DEL finishes`, (t) => {
      const points = eachDelThatFails(t, scene(t, one), fault);
      t.true(points > (fault === 'fail' ? 20 : 10), `${points} points`);
    });
  }

  for (const fault of ['interrupt', 'shorten'] as const) {
    test.serial(`ADD and DEL of ${one.title}: whichever call ${WORDS[fault]}, they succeed`, (t) => {
      const { lab, conf, target, look } = scene(t, one);
      const before = look();
      const points = eachCall((n) => {
        const { calls, end } = faulty(fault, n, () => {
          const added = call(lab, 'ADD', conf, target);
          const deleted = call(lab, 'DEL', conf, target);
          return { status: added.status + deleted.status, stdout: added.stdout + deleted.stdout, stderr: added.stderr };
        });
        t.is(end.status, 0, `call ${n}, ${calls[n - 1]}\n${end.stdout}`);
        return calls;
      });
      t.is(settled(look, before), before);
      t.true(points > (fault === 'interrupt' ? 30 : 2), `${points} points`);
    });
  }
}

const killed: readonly (readonly [command: 'ADD' | 'DEL', cleanup: 'DEL' | 'GC'])[] = [
  ['ADD', 'DEL'],
  ['ADD', 'GC'],
  ['DEL', 'DEL'],
];
for (const [command, cleanup] of killed) {
  test.serial(`${command} killed before whichever system call: ${cleanup} leaves nothing`, (t) => {
    const it = scene(t, { title: '', conf: portmapConf(ports), hasNeighbour: false });
    const collect = () => it.lab.gc(portmapConf(undefined), []);
    const points = eachKill(t, it, command, cleanup === 'GC' ? collect : undefined);
    t.true(points > 25, `${points} calls`);
  });
}
