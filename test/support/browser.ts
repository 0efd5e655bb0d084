/**
 * Debian's Chromium, headless, driven by the DevTools protocol over a pipe.
 * https://chromedevtools.github.io/devtools-protocol/
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

type Json = Record<string, unknown>;

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

/** How long the browser may take for an answer or a page, in seconds, on a busy machine. */
const LIMIT_S = 60;

/** A page, and what went wrong in it. */
export class Page {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #events = new Map<string, () => void>();
  /** Exceptions, loads that were refused, and errors on the page's console. */
  readonly complaints: string[] = [];
  #session: string | undefined;
  #count = 0;

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'netloom-browser-'));
    // Chromium has no sandbox as root. The page is our own.
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    this.#child = spawn(
      'chromium',
      [
        ...flags,
        `--user-data-dir=${this.#profile}`,
        '--window-size=1400,900',
        '--remote-debugging-pipe',
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    let rest = '';
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\0');
      rest = parts.pop() ?? '';
      for (const part of parts) this.#hear(JSON.parse(part) as Answer);
    });
  }

  static async open(file: string): Promise<Page> {
    const page = new Page();
    try {
      await page.#load(file);
      return page;
    } catch (error) {
      await page.close();
      throw error;
    }
  }

  async #load(file: string): Promise<void> {
    const { targetInfos } = await this.#ask('Target.getTargets');
    const target = (targetInfos as { type: string; targetId: string }[]).find(({ type }) => type === 'page');
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId: target?.targetId, flatten: true });
    this.#session = sessionId as string;
    for (const domain of ['Page', 'Runtime', 'Log']) await this.#ask(`${domain}.enable`);
    const loaded = new Promise<void>((resolve) => this.#events.set('Page.loadEventFired', resolve));
    await this.#ask('Page.navigate', { url: pathToFileURL(file).href });
    await within(loaded, () => `${file} is not loaded`);
  }

  /** The value of an expression. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** Moves the pointer to the middle of an element. */
  async pointAt(selector: string): Promise<void> {
    const { x, y } = await this.evaluate<{ x: number; y: number }>(
      `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({block: 'center', inline: 'center'}); const { x, y, width, height } = e.getBoundingClientRect(); return { x: x + width / 2, y: y + height / 2 }; })()`,
    );
    await this.#ask('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
  }

  /** Sets the color scheme that the user prefers. */
  async prefer(scheme: 'light' | 'dark'): Promise<void> {
    await this.#ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  async close(): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.kill('SIGKILL');
    await ended;
    // Its children may still be writing.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  #ask(method: string, params: Json = {}): Promise<Json> {
    const id = ++this.#count;
    const message = { id, method, params, ...(this.#session !== undefined && { sessionId: this.#session }) };
    const answered = new Promise<Json>((resolve, reject) => {
      const end = () => reject(new Error('chromium ended'));
      this.#child.once('exit', end);
      this.#waiting.set(id, ({ result = {}, error }) => {
        this.#child.off('exit', end);
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
      (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    });
    return within(answered, () => `no answer to ${method}`);
  }

  #hear(answer: Answer): void {
    if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    const { method = '', params } = answer;
    this.#events.get(method)?.();
    if (method === 'Runtime.exceptionThrown') this.complaints.push(JSON.stringify(params));
    if (method === 'Log.entryAdded' && (params?.['entry'] as Json)?.['level'] === 'error')
      this.complaints.push(JSON.stringify(params));
  }
}

async function within<T>(promise: Promise<T>, what: () => string): Promise<T> {
  let limit: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error(`chromium: ${what()} after ${LIMIT_S} s`)), LIMIT_S * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}
