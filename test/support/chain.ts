/** Runs a conflist as a runtime does: each plugin gets the result of the one before, and DEL goes backwards. */
import type { Json, Lab, Output, Target } from './lab.ts';

export class Chain {
  readonly #lab: Lab;
  readonly #plugins: readonly Json[];

  /** @param plugins configurations; the first has the name of the network */
  constructor(lab: Lab, plugins: readonly Json[]) {
    const [{ cniVersion = '1.1.0', name = 'net' } = {}] = plugins;
    this.#lab = lab;
    this.#plugins = plugins.map((plugin) => ({ cniVersion, name, ...plugin }));
  }

  add(target: Target): Output {
    let result: Output | undefined;
    for (const plugin of this.#plugins) result = this.#lab.add(after(plugin, result), target);
    if (result === undefined) throw new Error('a chain has at least one plugin');
    return result;
  }

  check(target: Target, result: Output): void {
    for (const plugin of this.#plugins) this.#lab.check(plugin, target, result);
  }

  /** @param result the result that runtimes keep from the ADD, and sometimes lose */
  del(target: Target, result?: Output): void {
    for (const plugin of this.#plugins.toReversed()) this.#lab.del(after(plugin, result), target);
  }

  gc(valid: readonly { containerID: string; ifname: string }[]): void {
    for (const plugin of this.#plugins) this.#lab.gc(plugin, valid);
  }
}

/** The configuration that a plugin gets when another one ran before it. */
export function after(plugin: Json, prevResult: Output | undefined): Json {
  return prevResult === undefined ? plugin : { ...plugin, prevResult };
}
