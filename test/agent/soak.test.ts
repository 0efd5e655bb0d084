/** A small soak; `npm run soak` is the large one. */
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';
import { hostOf, leftFiles, usedHost } from './remains.ts';
import { soak } from './soak.ts';

becomeHost();

test.serial(
  'many calls at once while agents and shims are killed: each succeeds or can be repeated, and nothing is left',
  async (t) => {
    const seed = Number(process.env['NETLOOM_SOAK_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
    t.log(`NETLOOM_SOAK_SEED=${seed}`);
    const lab = new Lab(t);
    const before = usedHost(lab);
    const report = await soak(t, lab, { calls: 400, concurrency: 8, seed });
    t.log(
      `${report.calls} calls, ${report.again} repeated, ${report.shimsKilled} shims and ${report.agentsKilled} agents killed`,
    );
    t.deepEqual(report.wrong, []);
    t.true(report.shimsKilled > 0 && report.agentsKilled + report.agentsEnded > 0);
    t.deepEqual(leftFiles(lab), []);
    t.is(hostOf(lab), before);
  },
);
