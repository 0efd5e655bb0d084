/** HTTP requests to an agent, as a scraper makes them. */
import { type RequestOptions, request } from 'node:http';
import type { Lab } from '../support/lab.ts';

export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** @param where the path of a unix socket, or HOST:PORT */
export function ask(where: string, path: string, method = 'GET'): Promise<Reply> {
  const colon = where.lastIndexOf(':');
  const address: RequestOptions = where.startsWith('/')
    ? { socketPath: where }
    : { host: where.slice(0, colon), port: where.slice(colon + 1) };
  return new Promise((resolve, reject) => {
    const asked = request({ ...address, path, method, agent: false }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

export function deskOf(lab: Lab): string {
  return `${lab.root}/run/netloom/status.sock`;
}

/**
 * The samples in a text in Prometheus format: name with labels, as written, to value. Throws if a line is not a sample.
 */
export function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const [types, values] = [new Map<string, string>(), text.split('\n').filter((line) => line !== '')];
  for (const line of values) {
    const [, name = '', type = ''] = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (name !== '') types.set(name, type);
    if (line.startsWith('#')) continue;
    const [, key = '', metric = '', value] = /^((\w+)(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/.exec(line) ?? [];
    if (!types.has(metric) && !types.has(metric.replace(/_(bucket|sum|count)$/, ''))) {
      throw new Error(`A sample without a type: ${line}`);
    }
    found.set(key, Number(value));
  }
  return found;
}
