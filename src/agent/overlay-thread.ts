/** A thread of the agent that has to do with overlays, from when there is such a one: most hosts have none, and a thread is some megabytes. */
import type { Paths } from '../paths.ts';
import type { OverlayAssignment } from './overlay-worker.ts';

/** How often it is looked whether there is one, in ms. */
const LOOK = 5_000;

export class OverlayThread {
  readonly #worker: string;
  readonly #isWanted: (paths: Paths) => boolean;
  readonly #paths: Paths;
  readonly #say: (message: string) => void;
  #thread: Worker | undefined;

  /**
   * @param worker its file, inside the executable. NB: by its whole path, see agent.ts
   * @param isWanted whether it has anything to do
   */
  constructor(worker: string, isWanted: (paths: Paths) => boolean, paths: Paths, say: (message: string) => void) {
    this.#worker = worker;
    this.#isWanted = isWanted;
    this.#paths = paths;
    this.#say = say;
  }

  start(): void {
    this.#look();
    setInterval(() => this.#look(), LOOK);
  }

  #look(): void {
    if (this.#thread !== undefined || !this.#isWanted(this.#paths)) return;
    const worker = new Worker(this.#worker, { smol: true });
    this.#thread = worker;
    worker.onmessage = ({ data }: MessageEvent<string>) => this.#say(data);
    worker.onerror = (event) => {
      this.#say(`the thread for overlays broke down: ${event.message}`);
      this.#thread = undefined;
    };
    const assignment: OverlayAssignment = { paths: this.#paths };
    worker.postMessage(assignment);
  }
}
