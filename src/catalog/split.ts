/** The form that llama.cpp gives the names of a model's parts: `x-00001-of-00003.gguf`. */
const partName = /-(\d{5})-of-(\d{5})\.gguf$/i;

export const howToJoin = 'join them with `llama-gguf-split --merge FIRST_PART JOINED_FILE`, and name the joined file';

/** Which part a file is and of how many, by its name; null where it is whole. */
export function partOf(name: string): { readonly part: number; readonly parts: number } | null {
  const found = partName.exec(name);
  return found ? { part: Number(found[1]), parts: Number(found[2]) } : null;
}
