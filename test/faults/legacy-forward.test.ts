/**
 * firewall beside a legacy iptables whose policy is DROP. Each libc call fails in turn, and SIGKILL comes before each
 * system call in turn. The rule that accepts what netloom allows goes with the last container, whatever happened.
 */
import './faulty-ffi.ts';
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { eachKill } from './killed.ts';
import { call, eachAddThatFails, eachDelThatFails, type Scene, WORDS } from './rounds.ts';
import { stateOf } from './state.ts';

becomeHost();

const PROGRAMS = ['iptables-legacy', 'ip6tables-legacy'];
const legacy = (...args: string[]) =>
  PROGRAMS.map((program) => execFileSync(program, args, { encoding: 'utf8' })).join('');

const conf: Json = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'firewall',
  prevResult: {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'lo' }],
    ips: [{ address: '10.1.0.2/24' }, { address: 'fd00::2/64' }],
  },
};

function scene(t: ExecutionContext): Scene {
  const lab = new Lab(t);
  legacy('-P', 'FORWARD', 'DROP');
  t.teardown(() => void legacy('-P', 'FORWARD', 'ACCEPT'));
  return {
    lab,
    target: { sandbox: lab.sandbox('victim') },
    conf,
    look: () => [stateOf(lab), legacy('-S')].join('\n'),
  };
}

for (const fault of ['fail', 'lose'] as const) {
  test.serial(`ADD: whichever call ${WORDS[fault]}, an ADD that fails leaves nothing, and DEL succeeds`, (t) => {
    const it = scene(t);
    t.is(call(it.lab, 'ADD', conf, it.target).status, 0);
    t.is(legacy('-S').split('allowed by netloom').length, 3, 'the rule is there');
    t.is(call(it.lab, 'DEL', conf, it.target).status, 0);
    const { points } = eachAddThatFails(t, it, fault);
    t.true(points > (fault === 'fail' ? 40 : 15), `${points} points`);
  });

  test.serial(`DEL: whichever call ${WORDS[fault]}, another DEL finishes`, (t) => {
    const points = eachDelThatFails(t, scene(t), fault);
    t.true(points > (fault === 'fail' ? 30 : 10), `${points} points`);
  });
}

for (const command of ['ADD', 'DEL'] as const) {
  test.serial(`${command} killed before whichever system call: DEL leaves nothing`, (t) => {
    const points = eachKill(t, scene(t), command);
    t.true(points > 15, `${points} calls`);
  });
}
