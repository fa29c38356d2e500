import { Controls } from './page/controls.js';
import { TimelinePage } from './page/page.js';
import { embeddedRuns, runsOfFiles } from './run/load.js';
import type { Run } from './run/run.js';

const byId = (id: string): HTMLElement => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
};

const show = (runs: readonly Run[]) => {
  byId('drop').hidden = true;
  const page = new TimelinePage(runs, byId);
  new Controls(page).listen();
  page.start();
};

const runs = await embeddedRuns();
if (runs.length > 0) show(runs);
else {
  byId('drop').hidden = false;
  const open = async (files: readonly File[]) => {
    try {
      if (files.length > 0) show(await runsOfFiles(files));
    } catch (error) {
      byId('drop-error').textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const input = byId('files') as HTMLInputElement;
  input.addEventListener('change', () => open([...(input.files ?? [])]));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    void open([...(event.dataTransfer?.files ?? [])]);
  });
}
