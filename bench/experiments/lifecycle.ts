/** ADD, CHECK and DEL of one container as whole processes, as a runtime executes them. */
import { type Bench, budgetCell, type Experiment, type Report, type SideName } from '../experiment.ts';
import { measure, type Outcome, VERBS } from '../measure.ts';
import { IPV4, IPV6, type Scenario } from '../scenario.ts';
import { YARDSTICKS } from '../yardstick.ts';

interface Lifecycle extends Scenario {
  readonly about: string;
  /** The upper limit for the ratio of ADD to the reference's, if there is a budget */
  readonly budget?: number;
}

/** DEL mostly waits for the kernel (RCU). */
const DEL_BUDGET = 1;

const LIFECYCLES: readonly Lifecycle[] = [
  { name: 'plain', about: 'IPv4, a gateway', plugin: {}, subnets: [IPV4], leases: 0, budget: 1.15 },
  { name: 'ipmasq', about: 'plain with ipMasq', plugin: { ipMasq: true }, subnets: [IPV4], leases: 0, budget: 0.45 },
  { name: 'ipv6', about: 'IPv6, a gateway', plugin: {}, subnets: [IPV6], leases: 0 },
  { name: 'dual', about: 'IPv4 and IPv6', plugin: {}, subnets: [IPV4, IPV6], leases: 0 },
];

export const lifecycles: readonly Experiment[] = LIFECYCLES.map((scenario) => ({
  name: scenario.name,
  about: `ADD, CHECK and DEL: ${scenario.about}`,
  run: (bench) => run(bench, scenario),
}));

function run(bench: Bench, scenario: Lifecycle): Report {
  const outcome = measure(bench, scenario);
  return {
    ...table(outcome, scenario.budget),
    ...(scenario.name === 'plain' && { notes: [peakMemory(outcome)] }),
    figures: outcome,
  };
}

function peakMemory({ scenario, memory }: Outcome): string {
  const megabytes = (side: SideName) => (memory[side] / 1024).toFixed(0);
  return `Peak memory of an ADD (${scenario}): ${megabytes('netloom')} MB; the reference: ${megabytes('reference')} MB`;
}

/** A row for each verb. */
export function table(outcome: Outcome, budget?: number): Pick<Report, 'heads' | 'rows'> {
  const heads = [
    'scenario',
    'verb',
    'reference ms',
    'p90',
    'netloom ms',
    'p90',
    'ratio',
    'budget',
    ...YARDSTICKS.map((name) => `${name} ms`),
  ];
  const rows = VERBS.map((verb) => {
    const { reference, netloom, ratio } = outcome.verbs[verb];
    const figures = [reference.median, reference.p90, netloom.median, netloom.p90, ratio].map((value) =>
      value.toFixed(2),
    );
    const limit = verb === 'ADD' ? budget : verb === 'DEL' ? DEL_BUDGET : undefined;
    const beside = YARDSTICKS.map((name) =>
      verb === 'CHECK' ? '' : (outcome.yardsticks[name]?.[verb].median.toFixed(2) ?? ''),
    );
    return [verb === 'ADD' ? outcome.scenario : '', verb, ...figures, budgetCell(limit), ...beside];
  });
  return { heads, rows };
}
