/**
 * A thread of the agent for overlays. It begins when the host has one: most hosts have none, and a thread takes some
 * megabytes.
 */
import type { Paths } from '../paths.ts';
import type { OverlayAssignment } from './overlay-worker.ts';

/** The thread's assignment, and what is called for it. */
interface Task extends OverlayAssignment {
  /** Whether it has anything to do. */
  isWanted(paths: Paths): boolean;
  say(message: string): void;
  /** Called when the thread is about to begin, and when it has ended. */
  begins?(isThere: boolean): void;
}

/** How often to look whether there is an overlay, in ms. */
const LOOK = 5_000;

export class OverlayThread {
  readonly #worker: string;
  readonly #task: Task;
  #thread: Worker | undefined;

  /** @param worker the thread's file inside the executable. NB: an absolute path, see agent.ts */
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
