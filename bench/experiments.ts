/** Every experiment, in the order in which `npm run bench` runs them. */
import type { Experiment } from './experiment.ts';
import { agent } from './experiments/agent.ts';
import { chain } from './experiments/chain.ts';
import { inspect } from './experiments/inspect.ts';
import { leases } from './experiments/leases.ts';
import { lifecycles } from './experiments/lifecycle.ts';
import { modes } from './experiments/modes.ts';
import { overlay } from './experiments/overlay.ts';
import { plots } from './experiments/plots.ts';
import { policies } from './experiments/policy.ts';
import { portmap } from './experiments/portmap.ts';

export const EXPERIMENTS: readonly Experiment[] = [
  ...lifecycles,
  chain,
  leases,
  modes,
  overlay,
  policies,
  portmap,
  inspect,
  ...agent,
  ...plots,
];
