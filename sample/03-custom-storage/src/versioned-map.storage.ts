import { CasStorage, type VersionedText } from 'nestjs-limits';

/**
 * A storage in one small class: the store is a map of texts with version numbers. Put your own in its place, anything that can
 * read a text with its version and replace it only if that version is still there.
 */
export class VersionedMapStorage extends CasStorage<number> {
  readonly #texts = new Map<string, VersionedText<number>>();

  protected override read(key: string): VersionedText<number> | undefined {
    return this.#texts.get(key);
  }

  protected override compareAndSet(key: string, text: string, version: number | undefined): boolean {
    if (this.#texts.get(key)?.version !== version) return false;
    this.#texts.set(key, { text, version: (version ?? 0) + 1 });
    return true;
  }

  /** A map is always there. */
  protected override probe(): void {}

  protected override removeAll(): number {
    const { size } = this.#texts;
    this.#texts.clear();
    return size;
  }
}
