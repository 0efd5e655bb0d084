/** The wall clock of one program, which a test sets while the program runs (clock.c). */
import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('clock.c', import.meta.url));

export class WallClock {
  /** The environment that the program needs. */
  readonly environment: Readonly<Record<'LD_PRELOAD' | 'CLOCK_SHIFT', string>>;

  /** @param directory where its files are made */
  constructor(directory: string, name: string) {
    const library = join(directory, 'clock.so');
    execFileSync('cc', ['-std=c11', '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', library, SOURCE]);
    this.environment = { LD_PRELOAD: library, CLOCK_SHIFT: join(directory, `${name}.shift`) };
    this.set(0);
  }

  /** @param hours how far the clock is ahead of the real time; negative is behind */
  set(hours: number): void {
    const file = this.environment.CLOCK_SHIFT;
    writeFileSync(`${file}.new`, `${hours * 3600}`);
    renameSync(`${file}.new`, file);
  }
}
