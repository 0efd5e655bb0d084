/** Runs the worker, many at once if need be. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

export interface WorkerEnd {
  readonly lines: readonly unknown[];
  readonly signal: string | null;
  readonly stderr: string;
}

/** Runs a worker to its end. @param wrap a command to run it with */
export function work(
  root: string,
  id: string,
  verbs: readonly string[],
  subnets?: string,
  wrap: readonly string[] = [],
): Promise<WorkerEnd> {
  const [command = '', ...args] = [
    ...wrap,
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    WORKER,
    root,
    id,
    ...verbs,
  ];
  const environment = { ...process.env, ...(subnets !== undefined && { SUBNETS: subnets }) };
  return ended(spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] }));
}

function ended(child: ChildProcess): Promise<WorkerEnd> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data) => (stdout += data));
  child.stderr?.on('data', (data) => (stderr += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      const lines = stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown);
      resolve({ lines, signal, stderr });
    });
  });
}
