/**
 * A thread of the agent that has to do with overlays, from when there is such a one: most hosts have none, and a thread
 * is some megabytes.
 */
import type { Paths } from '../paths.ts';
import type { OverlayAssignment } from './overlay-worker.ts';

/** What it does it for. */
interface Task extends OverlayAssignment {
  /** Whether it has anything to do. */
  isWanted(paths: Paths): boolean;
  say(message: string): void;
  /** Told when the thread is about to begin, and when it is there no more. */
  begins?(isThere: boolean): void;
}

/** How often it is looked whether there is one, in ms. */
const LOOK = 5_000;

export class OverlayThread {
  readonly #worker: string;
  readonly #task: Task;
  #thread: Worker | undefined;

  /** @param worker its file, inside the executable. NB: by its whole path, see agent.ts */
  constructor(worker: string, task: Task) {
    this.#worker = worker;
    this.#task = task;
  }

  start(): void {
    this.#look();
    setInterval(() => this.#look(), LOOK);
  }

  #look(): void {
    const { isWanted, say, begins, ...assignment } = this.#task;
    if (this.#thread !== undefined || !isWanted(assignment.paths)) return;
    begins?.(true);
    const worker = new Worker(this.#worker, { smol: true });
    this.#thread = worker;
    worker.onmessage = ({ data }: MessageEvent<string>) => say(data);
    worker.onerror = (event) => {
      say(`the thread for overlays broke down: ${event.message}`);
      this.#thread = undefined;
      begins?.(false);
    };
    worker.postMessage(assignment satisfies OverlayAssignment);
  }
}
