/**
 * HTTP to one endpoint, with Node's modules: Bun has them too, and unlike fetch() they take certificates on both. NB:
 * nothing that a plugin's call loads may import this file, which takes 10 ms.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { messageOf, NetloomError } from '../../error.ts';
import { readText } from '../../ffi/file.ts';
import type { EtcdSettings } from './settings.ts';

export interface Question {
  readonly endpoint: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The time limit for the answer, or for the beginning of a stream, in ms. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

type Certificates = Readonly<Partial<Record<'ca' | 'cert' | 'key', string>>>;

export class Transport implements Disposable {
  readonly #settings: EtcdSettings;
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });
  #certificates: Certificates | undefined;

  constructor(settings: EtcdSettings) {
    this.#settings = settings;
  }

  /** Reads certificates again before the next question: they may have been renewed. */
  forgetCertificates(): void {
    this.#certificates = undefined;
  }

  /** @throws NetloomError unreachable; or what is wrong with a certificate file */
  async ask(question: Question): Promise<Answer> {
    let text = '';
    const status = await this.#send(question, false, (part) => (text += part));
    return { status, text };
  }

  /**
   * Passes an answer on line by line, until it ends or the signal aborts.
   * @throws NetloomError as ask(); what `hear` throws, as it is
   */
  async listen(question: Question, hear: (line: Answer) => void): Promise<void> {
    let rest = '';
    const status = await this.#send(question, true, (part, status) => {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) if (text !== '') hear({ status, text });
    });
    if (rest !== '') hear({ status, text: rest });
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** @returns the HTTP status, once the whole answer has come */
  async #send(question: Question, isStream: boolean, hear: (part: string, status: number) => void): Promise<number> {
    const { endpoint, path, body, headers, limit, signal } = question;
    const options = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers } };
    return new Promise((resolve, reject) => {
      const request = this.#begin(endpoint, path, options, (response) => {
        if (isStream) clearTimeout(timer);
        const status = response.statusCode ?? 0;
        response.setEncoding('utf8');
        // NB: nobody catches what a listener throws: it would end the whole thread.
        response.on('data', (part: string) => {
          try {
            hear(part, status);
          } catch (error) {
            end(error);
          }
        });
        response.on('error', fail);
        response.on('end', () => finish(() => resolve(status)));
        // An answer that breaks off has no 'end'.
        response.on('close', () => fail(new Error('the connection was lost')));
      });
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        settle();
      };
      const end = (error: unknown) => {
        finish(() => reject(error));
        request.destroy();
      };
      const fail = (error: unknown) => end(unreachable(endpoint, error));
      const timer = setTimeout(() => fail(new Error(`no answer within ${limit / 1000} s`)), limit);
      const abort = () => fail(signal?.reason);
      signal?.addEventListener('abort', abort);
      request.on('error', fail);
      request.end(JSON.stringify(body));
      if (signal?.aborted) abort();
    });
  }

  /**
   * @throws NetloomError unreachable where the certificates are invalid, e.g. one whose key does not match yet because
   * its file is replaced a moment later
   */
  #begin(
    endpoint: string,
    path: string,
    options: RequestOptions,
    answered: (response: IncomingMessage) => void,
  ): ClientRequest {
    const url = `${endpoint}${path}`;
    if (!endpoint.startsWith('https:')) return httpRequest(url, { ...options, agent: this.#http }, answered);
    this.#certificates ??= readCertificates(this.#settings);
    try {
      return httpsRequest(url, { ...options, agent: this.#https, ...this.#certificates }, answered);
    } catch (error) {
      throw unreachable(endpoint, error);
    }
  }
}

function readCertificates({ ca, cert, key }: EtcdSettings): Certificates {
  return {
    ...(ca !== undefined && { ca: readText(ca) }),
    ...(cert !== undefined && { cert: readText(cert) }),
    ...(key !== undefined && { key: readText(key) }),
  };
}

function unreachable(endpoint: string, cause: unknown): NetloomError {
  return new NetloomError('unreachable', `Cannot reach etcd at ${endpoint}: ${messageOf(cause)}`, { cause });
}
