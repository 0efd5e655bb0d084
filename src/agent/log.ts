/** The agent's log: lines of JSON on stderr, where service managers and container runtimes collect them. */
import { printLine } from '../ffi/print.ts';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** What a line says besides its message. What is undefined is left out. */
export type Fields = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export class Log {
  /** The lowest level that is written, as an index into LEVELS: shared, so that all threads follow at once. */
  readonly memory: SharedArrayBuffer;
  readonly #level: Int32Array;

  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.#level = new Int32Array(memory);
  }

  set level(level: Level) {
    Atomics.store(this.#level, 0, LEVELS.indexOf(level));
  }

  has(level: Level): boolean {
    return LEVELS.indexOf(level) >= Atomics.load(this.#level, 0);
  }

  /** NB: one write(2), so that lines of several threads do not mix. */
  write(level: Level, message: string, fields: Fields = {}): void {
    if (this.has(level)) printLine(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
  }
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/**
 * The trace that a caller is part of, with the field names that OpenTelemetry has for logs of other formats. Undefined
 * where the header is invalid. https://www.w3.org/TR/trace-context/#traceparent-header,
 * https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
 */
export function traceOf(traceparent: string): Fields | undefined {
  const [, trace = '', span = '', flags] = TRACEPARENT.exec(traceparent) ?? [];
  const isValid = flags !== undefined && !traceparent.startsWith('ff') && hasBits(trace) && hasBits(span);
  return isValid ? { trace_id: trace, span_id: span, trace_flags: flags } : undefined;
}

/** An id of only zeros is invalid. */
function hasBits(id: string): boolean {
  return /[^0]/.test(id);
}
