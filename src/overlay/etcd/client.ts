/**
 * A client for an etcd of one or several members. It stays with an endpoint as long as that answers. Where one is dead
 * or slow it goes on with the next, trying each once. It renews a token that etcd no longer accepts.
 */
import { hasCode, NetloomError } from '../../error.ts';
import { readText } from '../../ffi/file.ts';
import type { EtcdSettings } from './settings.ts';
import { type Answer, type Question, Transport } from './transport.ts';
import { type Part, part } from './wire.ts';

/**
 * How long one endpoint may take for an answer, in ms. etcd itself gives up after 5 s to 7 s where its members have no
 * leader.
 */
const LIMIT = 2_000;
/** The same for a single endpoint that is asked again: it may be slow rather than dead. */
const LAST_LIMIT = 6_000;
/** Answers after which another member is asked: no leader, timed out, too many requests. */
const PASSING = [408, 429, 500, 502, 503, 504];
/** What etcd says of a token that it does not accept (any more), and of a call without one. */
const TOKEN_FAULT = /invalid auth token|revision of auth store is old|user name is empty/;
/** What etcd says where authentication is off. A user may be configured before it is switched on. */
const NO_AUTHENTICATION = 'authentication is not enabled';

export class EtcdClient implements Disposable {
  readonly #settings: EtcdSettings;
  readonly #transport: Transport;
  #current = 0;
  #token: string | undefined;

  constructor(settings: EtcdSettings) {
    this.#settings = settings;
    this.#transport = new Transport(settings);
  }

  /** The endpoint that is asked first. */
  get endpoint(): string {
    return this.#settings.endpoints[this.#current % this.#settings.endpoints.length] ?? '';
  }

  /**
   * Goes on with the next endpoint, because this one has failed. NB: of several callers that notice it at once only the
   * first one leaves it, or the others would leave the next one as well.
   */
  leave(endpoint: string): void {
    if (endpoint !== this.endpoint) return;
    this.#current++;
    this.#transport.forgetCertificates();
  }

  /** Asks one endpoint after another, each once; a single one twice, because a connection that was kept may be gone. */
  async ask(path: string, body: unknown, signal?: AbortSignal): Promise<Part> {
    const failures = new Set<string>();
    const count = this.#settings.endpoints.length;
    for (let i = 0; i < Math.max(2, count); i++) {
      const { endpoint } = this;
      const limit = i < count ? LIMIT : LAST_LIMIT;
      try {
        return await this.#askOne({ endpoint, path, body, limit, ...(signal && { signal }) });
      } catch (error) {
        if (!hasCode(error, 'unreachable') || signal?.aborted) throw error;
        failures.add(error.message);
        this.leave(endpoint);
      }
    }
    throw new NetloomError('unreachable', [...failures].join('; '));
  }

  /**
   * Runs a watch on the endpoint that was asked last, until the watch ends. `hasleader`: it ends by itself where its
   * member has lost the others; otherwise it would stay open and report nothing.
   */
  async watch(request: unknown, signal: AbortSignal, hear: (result: Part) => void): Promise<void> {
    const { endpoint } = this;
    const headers = { ...this.#authorization(), 'Grpc-Metadata-hasleader': 'true' };
    const body = { create_request: request };
    await this.#transport.listen({ endpoint, path: '/v3/watch', body, headers, limit: LIMIT, signal }, (line) => {
      hear(part(this.#read(endpoint, line)['result']));
    });
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  async #askOne(question: Question): Promise<Part> {
    const hadToken = this.#token !== undefined;
    try {
      return await this.#askOnce(question);
    } catch (error) {
      const isTokens = hasCode(error, 'etcd-refused') && TOKEN_FAULT.test(error.message);
      if (!isTokens || this.#settings.user === undefined || !hadToken) throw error;
      this.#token = undefined;
      return this.#askOnce(question);
    }
  }

  async #askOnce(question: Question): Promise<Part> {
    await this.#authenticate(question);
    const headers = this.#authorization();
    return this.#read(question.endpoint, await this.#transport.ask({ ...question, headers }));
  }

  async #authenticate(question: Question): Promise<void> {
    const { user, passwordFile } = this.#settings;
    if (user === undefined || this.#token !== undefined) return;
    const password = passwordFile === undefined ? '' : readText(passwordFile).replace(/\r?\n$/, '');
    const body = { name: user, password };
    const answer = await this.#transport.ask({ ...question, path: '/v3/auth/authenticate', body });
    if (answer.text.includes(NO_AUTHENTICATION)) return;
    const token = this.#read(question.endpoint, answer)['token'];
    if (typeof token === 'string') this.#token = token;
  }

  #authorization(): Readonly<Record<string, string>> {
    return this.#token === undefined ? {} : { Authorization: this.#token };
  }

  /** @throws NetloomError unreachable, etcd-refused */
  #read(endpoint: string, { status, text }: Answer): Part {
    let answer: Part = {};
    try {
      answer = part(JSON.parse(text));
    } catch {
      if (status === 200)
        throw new NetloomError('unreachable', `${endpoint} is not an etcd: it answered ${excerpt(text)}`);
    }
    const fault = answer['error'];
    if (status === 200 && fault === undefined) return answer;
    // In a stream the error is an object, elsewhere a text.
    const said = typeof fault === 'string' ? fault : part(fault)['message'];
    const reason = typeof said === 'string' ? said : `HTTP ${status}: ${text.trim().slice(0, 200)}`;
    const http = Number(part(fault)['http_code'] ?? status);
    if (PASSING.includes(http)) throw new NetloomError('unreachable', `etcd at ${endpoint} answered: ${reason}`);
    const remedy = text.startsWith('CommonName') ? '; give netloom a certificate without a common name' : '';
    throw new NetloomError('etcd-refused', `etcd at ${endpoint} refused: ${reason.trim()}${remedy}`);
  }
}

function excerpt(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
