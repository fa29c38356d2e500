import { FindingFileError, parseFinding } from '../../fuzz/engine/finding-file.js';
import { inThisProcess, type TargetName, targetNamed, targetNames } from '../../fuzz/open-target.js';
import { onSimulated } from '../../fuzz/raw/simulated-machine.js';
import { replayFinding } from '../../fuzz/replay-finding.js';
import { type OpteeToFuzz, opteeUnderTest, refuseOptee } from './optee-to-fuzz.js';

/**
 * Execute a finding again and print the result; exit code 1 if the finding did not occur again.
 * @throws FindingFileError naming what is wrong in the file; what opening the target fails with.
 */
export async function replayFindingFile(
  text: string,
  options: OpteeToFuzz & { readonly json?: boolean },
): Promise<void> {
  const finding = parseFinding(text);
  const { name, uuid } = finding.target;
  if (!Object.hasOwn(targetNames, name)) throw new FindingFileError(`target: there is none called "${name}"`);
  if (inThisProcess.has(name as TargetName)) refuseOptee(options, `the finding is of ${name}, which does not use one`);
  const target = targetNamed(name as TargetName, uuid, {
    optee: await opteeUnderTest(options),
    simulated: finding.on === onSimulated,
  });
  const { on, steps, verdicts, came } = await replayFinding(finding, target);
  if (!came) process.exitCode = 1;
  if (options.json) {
    console.log(JSON.stringify({ on, came, signature: finding.signature, steps, verdicts }));
    return;
  }
  console.log(`on ${on}, found on ${finding.on}`);
  if (finding.before.length > 0) console.log(`after ${finding.before.length} other inputs`);
  for (const [index, step] of steps.entries()) console.log(`${index + 1}. ${step}`);
  for (const { kind, what, console: said } of verdicts) {
    console.log(`${kind}: ${what}`);
    if (said !== undefined) console.log(said.replaceAll(/^/gm, '  '));
  }
  console.log(came ? 'It occurred again.' : `It did not occur again: ${finding.signature}`);
}
