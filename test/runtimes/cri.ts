/**
 * The container runtime interface, with which kubelet asks for pods: the part of k8s.io/cri-api,
 * pkg/apis/runtime/v1/api.proto that we use, with its field numbers.
 */
import { unary } from './grpc.ts';
import { bool, type Codec, int, list, message, type Read, type Table, text, texts, type Written } from './protobuf.ts';

const metadata = message({ name: [1, text], uid: [2, text], namespace: [3, text], attempt: [4, int] });
const image = message({ image: [1, text] });

const podConfig = {
  metadata: [1, metadata],
  hostname: [2, text],
  log_directory: [3, text],
  dns_config: [4, message({ servers: [1, list(text)], searches: [2, list(text)], options: [3, list(text)] })],
  port_mappings: [
    5,
    // Protocol 0 is TCP.
    list(message({ protocol: [1, int], container_port: [2, int], host_port: [3, int], host_ip: [4, text] })),
  ],
  annotations: [7, texts],
  linux: [8, message({ cgroup_parent: [1, text] })],
} as const satisfies Table;

const containerConfig = {
  metadata: [1, message({ name: [1, text] })],
  image: [2, image],
  command: [3, list(text)],
} as const satisfies Table;

const condition = { type: [1, text], status: [2, bool], reason: [3, text], message: [4, text] } as const;

const podStatus = {
  id: [1, text],
  // 1 is not ready.
  state: [3, int],
  network: [5, message({ ip: [1, text], additional_ips: [2, list(message({ ip: [1, text] }))] })],
} as const satisfies Table;

const pod = { pod_sandbox_id: [1, text] } as const;
const container = { container_id: [1, text] } as const;

/** For each method: its service, its request and its response. */
const METHODS = {
  Status: method('RuntimeService', {}, { status: [1, message({ conditions: [1, list(message(condition))] })] }),
  RunPodSandbox: method('RuntimeService', { config: [1, message(podConfig)] }, pod),
  PodSandboxStatus: method(
    'RuntimeService',
    { ...pod, verbose: [2, bool] },
    { status: [1, message(podStatus)], info: [2, texts] },
  ),
  ListPodSandbox: method('RuntimeService', {}, { items: [1, list(message({ id: [1, text], state: [3, int] }))] }),
  StopPodSandbox: method('RuntimeService', pod, {}),
  RemovePodSandbox: method('RuntimeService', pod, {}),
  CreateContainer: method(
    'RuntimeService',
    { ...pod, config: [2, message(containerConfig)], sandbox_config: [3, message(podConfig)] },
    container,
  ),
  // 2 is exited.
  ContainerStatus: method('RuntimeService', container, { status: [1, message({ id: [1, text], state: [3, int] })] }),
  StartContainer: method('RuntimeService', container, {}),
  ExecSync: method(
    'RuntimeService',
    { ...container, cmd: [2, list(text)], timeout: [3, int] },
    { stdout: [1, text], stderr: [2, text], exit_code: [3, int] },
  ),
  ImageStatus: method('ImageService', { image: [1, image] }, { image: [1, message({ id: [1, text] })] }),
};

type Methods = typeof METHODS;
export type PodConfig = Written<typeof podConfig>;

export type Cri = <M extends keyof Methods>(
  method: M,
  request: Parameters<Methods[M]['request']['write']>[0],
) => Promise<ReturnType<Methods[M]['response']['read']>>;

/** @param socket containerd's socket */
export function cri(socket: string): Cri {
  return async (name, request) => {
    const { service, request: takes, response } = METHODS[name] as Method<Table, Table>;
    const [bytes = new Uint8Array()] = takes.write(request);
    return response.read([await unary(socket, `/runtime.v1.${service}/${name}`, bytes)]) as never;
  };
}

interface Method<Request extends Table, Response extends Table> {
  readonly service: string;
  readonly request: Codec<Written<Request>, Read<Request>>;
  readonly response: Codec<Written<Response>, Read<Response>>;
}

function method<const Request extends Table, const Response extends Table>(
  service: 'RuntimeService' | 'ImageService',
  request: Request,
  response: Response,
): Method<Request, Response> {
  return { service, request: message(request), response: message(response) };
}
