/** Plugins that record their calls, and answer as they are told. */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathsOf } from '../../src/paths.ts';
import type { RuntimeContext } from '../../src/runtime/context.ts';

export class FakePlugins {
  readonly bin: string;
  readonly #log: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.bin = join(root, 'bin');
    this.#log = join(root, 'calls');
    mkdirSync(this.bin, { recursive: true });
    writeFileSync(this.#log, '');
  }

  /** Makes a plugin. It adds an interface with its own name to the result of the plugins before. */
  add(type: string): void {
    const file = join(this.bin, type);
    writeFileSync(
      file,
      `#!/bin/sh
conf=$(cat)
echo "$conf" >> '${this.#log}.conf'
echo "${type} $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS" >> '${this.#log}'
if [ -e '${this.bin}/${type}.fails.'$CNI_COMMAND ]; then
  echo '{"cniVersion":"1.1.0","code":123,"msg":"${type} refuses"}'; exit 1
fi
[ "$CNI_COMMAND" = ADD ] && cat '${this.bin}/${type}.result'
exit 0
`,
    );
    chmodSync(file, 0o755);
    this.result(type, { cniVersion: '1.1.0', interfaces: [{ name: type }] });
  }

  result(type: string, json: unknown): void {
    writeFileSync(join(this.bin, `${type}.result`), JSON.stringify(json));
  }

  fails(type: string, command: string, does = true): void {
    const file = join(this.bin, `${type}.fails.${command}`);
    if (does) writeFileSync(file, '');
    else rmSync(file, { force: true });
  }

  /** The calls since the last time: `bridge ADD c1 /netns eth0 K=V`. */
  calls(): string[] {
    const lines = readFileSync(this.#log, 'utf8').trim();
    writeFileSync(this.#log, '');
    return lines === '' ? [] : lines.split('\n').map((line) => line.trim());
  }

  /** The configurations of the calls since the last time. */
  confs(): Record<string, unknown>[] {
    const text = readFileSync(`${this.#log}.conf`, 'utf8').trim();
    writeFileSync(`${this.#log}.conf`, '');
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  context(warnings: string[] = []): RuntimeContext {
    return {
      paths: pathsOf({ NETLOOM_ROOT: this.#root }),
      pluginPath: [this.bin],
      environment: { PATH: process.env['PATH'], NETLOOM_ROOT: this.#root, CNI_ARGS: 'Stale=1' },
      warn: (message) => warnings.push(message),
    };
  }
}
