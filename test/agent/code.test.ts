/** The agent gives back the memory of engine code that is rarely needed. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { AgentProcess, agentOnly } from './agent-process.ts';

becomeHost();

/** How much of its files a process has in memory, in KB. Nearly all of it is code. */
function codeOf(pid: number): number {
  return Number(/^RssFile:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test('what calls have needed is given back, again and again', async (t) => {
  const lab = new Lab(t);
  const agent = await AgentProcess.start(t, lab);
  const options = { bin: agentOnly(lab), path: BIN };
  const target = { sandbox: lab.sandbox('c1') };
  for (let i = 0; i < 3; i++) {
    lab.add(bridgeConf({ ipMasq: true }), target, options);
    lab.del(bridgeConf({ ipMasq: true }), target, options);
    const after = codeOf(agent.pid);
    await until('it has less of its code', () => codeOf(agent.pid) < after - 1024);
    t.pass();
  }
  lab.add(bridgeConf(), target, options);
});
