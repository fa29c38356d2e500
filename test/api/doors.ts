import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = new URL('../../', import.meta.url);
/** What parameters of options are called, and their types. */
const optionsParameter = /^(options|settings|layout|definition|part)$/;
const optionsType = /(Options|Settings)$/;

/**
 * Every public function, constructor and method of the package that takes an object of options, as its declarations say:
 * `openTee(options)`, `Session#invoke(options)`, `ScmiAgent.open(options)`, `new TraceFile(options)`.
 */
export function doorsWithOptions(): string[] {
  const { exports } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    readonly exports: Readonly<Record<string, { readonly types: string }>>;
  };
  const files = Object.values(exports).map(({ types }) => fileURLToPath(new URL(types, root)));
  // Names are all that is looked at: what the types of the language are does not matter.
  const program = ts.createProgram(files, {
    ...{ target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.NodeNext, noLib: true, types: [] },
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  });
  const checker = program.getTypeChecker();
  const doors = new Set<string>();

  const look = (name: string, type: ts.Type, kind = ts.SignatureKind.Call) => {
    for (const parameter of checker.getSignaturesOfType(type, kind).flatMap((each) => each.getParameters())) {
      const declared = parameter.valueDeclaration;
      const written = declared !== undefined && ts.isParameter(declared) ? (declared.type?.getText() ?? '') : '';
      const isArray = written.startsWith('readonly ') || written.endsWith('[]');
      if (!isArray && (optionsParameter.test(parameter.name) || optionsType.test(written.replace(/<.*>$/, ''))))
        doors.add(`${name}(${parameter.name})`);
    }
  };
  const members = (of: ts.Type, name: (member: string) => string, at: ts.Declaration) => {
    for (const member of of.getProperties())
      if (member.name !== 'prototype' && !isPrivate(member))
        look(name(member.name), checker.getTypeOfSymbolAtLocation(member, at));
  };
  for (const exported of files.flatMap((file) => exportsOf(program, checker, file))) {
    const declared = exported.valueDeclaration;
    if (declared === undefined) continue;
    const type = checker.getTypeOfSymbolAtLocation(exported, declared);
    look(exported.name, type);
    look(`new ${exported.name}`, type, ts.SignatureKind.Construct);
    members(type, (member) => `${exported.name}.${member}`, declared);
    if (exported.flags & ts.SymbolFlags.Class)
      members(checker.getDeclaredTypeOfSymbol(exported), (member) => `${exported.name}#${member}`, declared);
  }
  return [...doors].sort();
}

function exportsOf(program: ts.Program, checker: ts.TypeChecker, file: string): ts.Symbol[] {
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${file} is not there: build first`);
  return checker
    .getExportsOfModule(module)
    .map((each) => (each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each));
}

function isPrivate({ valueDeclaration }: ts.Symbol): boolean {
  return (
    valueDeclaration !== undefined && (ts.getCombinedModifierFlags(valueDeclaration) & ts.ModifierFlags.Private) !== 0
  );
}
