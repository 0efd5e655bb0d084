/** A container engine, as far as wiring its containers needs one. */

/** A container as its engine has it. */
export interface EngineContainer {
  /** The engine's own, whole. */
  readonly id: string;
  /** The name that people use; the id where there is none. */
  readonly name: string;
  /** Its first process as seen from here; 0 while it is not running. */
  readonly pid: number;
}

export interface Engine {
  /** `docker` in `docker:web`. */
  readonly name: string;
  /** Whether it seems to be here at all, so that somebody who has no podman is not told that podman does not answer. */
  isHere(): boolean;
  /**
   * A container by its name, its id, or the beginning of that.
   * @throws NetloomError engine-no-answer, ambiguous-target
   */
  find(word: string): EngineContainer | undefined;
  /** Those that run. @throws NetloomError engine-no-answer */
  running(): readonly EngineContainer[];
}
