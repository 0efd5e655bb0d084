/** The machine and the programs behind the figures. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Surroundings {
  readonly date: string;
  readonly netloom: string;
  readonly reference: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryMB: number;
  /** The file system of the leases: the cost of a write depends on it. */
  readonly fileSystem: string;
}

export function surroundings(reference: string, root: string): Surroundings {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return {
    date: new Date().toISOString(),
    netloom: version,
    reference: referenceVersion(reference),
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: cpus().length,
    memoryMB: Math.round(totalmem() / 2 ** 20),
    fileSystem: execFileSync('stat', ['--file-system', '--format=%T', root], { encoding: 'utf8' }).trim(),
  };
}

/** The version of the package; else what the plugin prints when it is executed without CNI_COMMAND. */
function referenceVersion(dir: string): string {
  const query = spawnSync('dpkg-query', ['--show', 'containernetworking-plugins'], { encoding: 'utf8' });
  if (dir === '/usr/lib/cni' && query.status === 0) return query.stdout.trim().replace('\t', ' ');
  return spawnSync(join(dir, 'bridge'), { encoding: 'utf8', env: {} }).stderr.split('\n')[0] ?? 'unknown';
}
