/** The agent's thread for overlays, from when there is one: most hosts have none, and a thread is some megabytes. */
import type { Paths } from '../paths.ts';
import type { OverlayAssignment } from './overlay-worker.ts';
import { overlayConfs } from './overlays.ts';

/** Inside the executable. NB: by its whole path, see agent.ts. */
const WORKER = '/$bunfs/root/agent/overlay-worker.js';
/** How often it is looked whether there is one, in ms. */
const LOOK = 5_000;

export class OverlayThread {
  readonly #paths: Paths;
  readonly #say: (message: string) => void;
  #worker: Worker | undefined;

  constructor(paths: Paths, say: (message: string) => void) {
    this.#paths = paths;
    this.#say = say;
  }

  start(): void {
    this.#look();
    setInterval(() => this.#look(), LOOK);
  }

  #look(): void {
    if (this.#worker !== undefined || overlayConfs(this.#paths).length === 0) return;
    const worker = new Worker(WORKER, { smol: true });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<string>) => this.#say(data);
    worker.onerror = (event) => {
      this.#say(`the thread for overlays broke down: ${event.message}`);
      this.#worker = undefined;
    };
    const assignment: OverlayAssignment = { paths: this.#paths };
    worker.postMessage(assignment);
  }
}
