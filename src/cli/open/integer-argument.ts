import { InvalidArgumentError } from 'commander';

/** A parser for an option or argument that is a decimal integer from `low` to `high`. */
export function integerArgument(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < low || value > high)
      throw new InvalidArgumentError(`Allowed are integers ${low} to ${high}.`);
    return value;
  };
}
