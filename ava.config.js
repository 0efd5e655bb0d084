import { observeRun } from './scripts/observe-run.mjs';

export default {
  files: ['test/**/*.test.ts'],
  extensions: ['ts'],
  // A process a file: namespaces belong to threads, and a test that moves its own must not move another's.
  workerThreads: false,
  nodeArguments: ['--disable-warning=ExperimentalWarning'],
  timeout: '10m',
  // A CI that sets CI_NODE_INDEX would get a share of the tests.
  utilizeParallelBuilds: false,
  nonSemVerExperiments: { observeRunsFromConfig: true },
  observeRun,
};
