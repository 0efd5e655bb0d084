/** What the tests need from a container runtime. */
export interface Runtime {
  readonly name: string;
  /** The same runtime with another conflist of cni-conf/. */
  on(conflist: string): Runtime;
  /** The same runtime; it starts containers in the network of another container. */
  beside(other: Container): Runtime;
  /** Runs a container to its end. @returns what it printed */
  run(...command: string[]): string | Promise<string>;
  /** Starts a container that keeps running. */
  start(...command: string[]): Promise<Container>;
  end(): Promise<void>;
}

export interface Container {
  readonly id: string;
  /** Runs a program inside. @returns what it printed */
  exec(...command: string[]): string | Promise<string>;
  /** Stops it and removes its network. */
  remove(): Promise<void>;
}
