/** Questions to an agent, by HTTP as a scraper asks them. */
import { type RequestOptions, request } from 'node:http';
import type { Lab } from '../support/lab.ts';

export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** @param where a path of a unix socket, or HOST:PORT */
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
 * The samples of a text for Prometheus: name and labels as they are written, and the value. Throws at what is no
 * sample.
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
