/**
 * The matrix of kernel features against tests: on which kernels each test that needs a kernel feature ran
 * (test/support/features.ts puts the feature in the title). A test that ran on no kernel is a failure of the whole run.
 */

const NEEDS = / \[needs (.+)\]$/;

/**
 * @param {{kernel: string, report: {tests: Record<string, number>, failures: string[], skips: string[]}}[]} runs
 * @returns {string[]} the tests that were skipped wherever they could have run
 */
export function ranNowhere(runs) {
  const skipped = new Set(runs.flatMap(({ report }) => report.skips));
  return [...skipped].filter((name) => !runs.some(({ report }) => hasRun(report, name)));
}

/** The matrix as lines of text: a feature, its tests below it, a column for each kernel. */
export function matrix(runs) {
  const tests = new Map();
  for (const { report } of runs) {
    for (const name of [...Object.keys(report.tests), ...report.failures, ...report.skips]) {
      for (const feature of featuresOf(name)) tests.set(feature, (tests.get(feature) ?? new Set()).add(name));
    }
  }
  const header = runs.map(({ kernel }) => kernel.padEnd(WIDTH)).join('');
  const lines = [`${header}tests that need something of their kernel: + passed, x failed, - skipped, . left out`];
  for (const feature of [...tests.keys()].sort()) {
    lines.push('', `${' '.repeat(header.length)}${feature}`);
    for (const name of [...tests.get(feature)].sort()) {
      lines.push(`${runs.map(({ report }) => mark(report, name).padEnd(WIDTH)).join('')}${name.replace(NEEDS, '')}`);
    }
  }
  return lines;
}

const WIDTH = 7;

function featuresOf(name) {
  return NEEDS.exec(name)?.[1].split(', ') ?? [];
}

function hasRun(report, name) {
  return name in report.tests || report.failures.includes(name);
}

function mark(report, name) {
  if (name in report.tests) return '+';
  if (report.failures.includes(name)) return 'x';
  return report.skips.includes(name) ? '-' : '.';
}
