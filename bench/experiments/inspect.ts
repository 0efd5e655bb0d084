/**
 * How long it takes to inspect a host with many sandboxes. The reference has nothing like it; the budget is a second.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Cidr } from '../../src/net/cidr.ts';
import { unpin } from '../../src/netns/pin.ts';
import { contextOf } from '../../src/runtime/context.ts';
import { createNetwork } from '../../src/runtime/network/store.ts';
import { createSandbox } from '../../src/runtime/sandbox/sandbox.ts';
import { sandboxNetns } from '../../src/runtime/sandbox/store.ts';
import type { Bench, Experiment } from '../experiment.ts';
import { round, summarize } from '../statistics.ts';

const SANDBOXES = 500;
const BUDGET = 1000;
const VIEWS = [[], ['sb-250'], ['--json'], ['--mermaid'], ['--svg']] as const;

export const inspect: Experiment = {
  name: 'inspect',
  about: `netloom inspect, with ${SANDBOXES} sandboxes on a bridge`,
  run(bench) {
    const executable = join(bench.netloom.plugins, '../netloom');
    using _ = populated(bench, executable);
    const measured = VIEWS.map((view) => {
      const times = Array.from({ length: Math.max(5, Math.ceil(bench.n / 4)) }, () => {
        const begin = performance.now();
        const { status, stderr } = spawnSync(executable, ['inspect', ...view], {
          env: { PATH: process.env['PATH'], NETLOOM_ROOT: bench.root },
          maxBuffer: 1 << 28,
          encoding: 'utf8',
        });
        if (status !== 0) throw new Error(`inspect: ${stderr}`);
        return performance.now() - begin;
      });
      return { view: ['inspect', ...view].join(' '), ...summarize(times) };
    });
    return {
      heads: [`${SANDBOXES} sandboxes`, '', 'netloom ms', 'p90', 'budget'],
      rows: measured.map(({ view, median, p90 }) => [
        view,
        'total',
        String(round(median)),
        String(round(p90)),
        String(BUDGET),
      ]),
      figures: measured,
    };
  },
};

/** The sandboxes are made in this process, which is quicker. What is measured is executed. */
function populated({ root }: Bench, executable: string): Disposable {
  const context = contextOf({ ...process.env, NETLOOM_ROOT: root }, executable, () => {});
  const nothing = { ports: [], nameservers: [], search: [], hosts: [] };
  const lists = { ipRanges: [], gateways: [], options: [], ipv6: false, internal: false } as const;
  createNetwork(context, 'many', { ...lists, driver: 'bridge', subnets: [Cidr.parse('10.65.0.0/16')] });
  const names = Array.from({ length: SANDBOXES }, (_, i) => `sb-${i}`);
  for (const name of names) createSandbox(context, { ...nothing, name, networks: ['many'] });
  return {
    [Symbol.dispose]: () => {
      // The wires go with the namespaces, and everything else with this process's own namespace.
      for (const name of names) unpin(sandboxNetns(context, name));
    },
  };
}
