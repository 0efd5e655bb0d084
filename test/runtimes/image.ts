/**
 * Container images with one layer, as `ctr images import` takes them. https://github.com/opencontainers/image-spec:
 * image-layout.md, manifest.md, config.md
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Makes an archive with an image of a root file system.
 * @param name `registry/name:tag`
 * @param command what its containers run
 */
export function makeImage(archive: string, rootfs: string, name: string, command: readonly string[]): void {
  const layout = `${archive}.layout`;
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, content: Buffer) => {
    const hash = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobs, hash), content);
    return { mediaType, digest: `sha256:${hash}`, size: content.length };
  };
  const json = (type: string, content: object) =>
    blob(`application/vnd.oci.image.${type}.v1+json`, Buffer.from(JSON.stringify(content)));

  const packed = join(layout, 'layer');
  execFileSync('tar', ['-C', rootfs, '-cf', packed, '.']);
  const layer = blob('application/vnd.oci.image.layer.v1.tar', readFileSync(packed));
  rmSync(packed);
  const config = json('config', {
    // GOARCH, as the specification demands.
    architecture: { x64: 'amd64' }[process.arch as string] ?? process.arch,
    os: 'linux',
    config: { Entrypoint: command, Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = json('manifest', { schemaVersion: 2, config, layers: [layer] });
  const named = { ...manifest, annotations: { 'io.containerd.image.name': name } };
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  execFileSync('tar', ['-C', layout, '-cf', archive, 'blobs', 'index.json', 'oci-layout']);
  rmSync(layout, { recursive: true });
}
