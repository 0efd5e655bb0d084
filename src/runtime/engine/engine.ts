/** A container engine, as far as connecting its containers requires. */

/** A container as its engine reports it. */
export interface EngineContainer {
  /** The engine's full id. */
  readonly id: string;
  /** The name that people use; the id where there is none. */
  readonly name: string;
  /** Its first process, by its number here; 0 while it is not running. */
  readonly pid: number;
}

export interface Engine {
  /** `docker` in `docker:web`. */
  readonly name: string;
  /** Whether its socket or directory exists, so that a user without podman is not told that podman does not answer. */
  isHere(): boolean;
  /**
   * A container by its name, its id, or the beginning of its id.
   * @throws NetloomError engine-no-answer, ambiguous-target
   */
  find(word: string): EngineContainer | undefined;
  /** The running containers. @throws NetloomError engine-no-answer */
  running(): readonly EngineContainer[];
}
