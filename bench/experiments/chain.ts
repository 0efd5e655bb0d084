/**
 * The chain that podman writes, executed as a runtime does: each plugin is a process, and gets the result of the one
 * before.
 */
import type { Experiment } from '../experiment.ts';
import { measure } from '../measure.ts';
import { IPV4, type Scenario } from '../scenario.ts';
import { table } from './lifecycle.ts';

/** The upper limit for the ratio of ADD to the reference's */
const BUDGET = 0.6;

export const CHAIN: Scenario = {
  name: 'chain',
  plugin: { ipMasq: true, hairpinMode: true },
  subnets: [IPV4],
  leases: 0,
  behind: [
    {
      type: 'portmap',
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    },
    { type: 'firewall' },
    { type: 'tuning' },
  ],
};

export const chain: Experiment = {
  name: CHAIN.name,
  about: 'ADD, CHECK and DEL of bridge with ipMasq, portmap with a port, firewall and tuning',
  run(bench) {
    const outcome = measure(bench, CHAIN);
    return { ...table(outcome, BUDGET), figures: outcome };
  },
};
