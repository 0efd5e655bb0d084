/** What the tests ask of a container runtime. */
export interface Runtime {
  readonly name: string;
  /** The same runtime with another conflist of cni-conf/. */
  on(conflist: string): Runtime;
  /** The same runtime, starting containers in the network of another one. */
  beside(other: Container): Runtime;
  /** Runs a container to its end. @returns what it printed */
  run(...command: string[]): string | Promise<string>;
  /** Starts a container that stays. */
  start(...command: string[]): Promise<Container>;
  end(): Promise<void>;
}

export interface Container {
  readonly id: string;
  /** Runs a program inside. @returns what it printed */
  exec(...command: string[]): string | Promise<string>;
  /** Stops it and takes its network away. */
  remove(): Promise<void>;
}
