/**
 * Changes one place of a TypeScript source. The place is identified by its function and its code in the syntax tree, so
 * it does not depend on layout, comments or changes elsewhere.
 */
import ts from 'typescript';

/**
 * @typedef {object} Change
 * @property {string} in the function: `name`, or `Class.method`.
 * @property {string} find an expression, or one or more statements, that occurs exactly once.
 * @property {string} becomes the replacement; may be empty for statements.
 * @property {Change[]} [also] further changes of the same mutant.
 */

/**
 * @param {string} source
 * @param {Change} change
 * @param {string} file for messages.
 * @returns {string} the source with that change.
 */
export function mutate(source, { also = [], ...change }, file) {
  const changed = also.reduce((text, each) => mutated(text, each, file), source);
  return mutated(changed, change, file);
}

function mutated(source, { in: where, find, becomes }, file) {
  const tree = parsed(source);
  const scope = functionNamed(tree, where);
  if (scope === undefined) throw new Error(`${file} has no function ${where}`);
  const pattern = patternOf(find);
  const places = placesOf(scope, pattern);
  if (places.length !== 1) throw new Error(`${file}, ${where}: "${find}" is there ${places.length} times, not once`);
  const [{ first, last }] = places;
  return source.slice(0, first.getStart(tree)) + becomes + source.slice(last.getEnd());
}

/** Compile TypeScript to JavaScript as the build does. */
export function compiled(source) {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  });
  return outputText;
}

const parsed = (text) => ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true);

function functionNamed(tree, where) {
  const [owner, member] = where.includes('.') ? where.split('.') : [undefined, where];
  let found;
  const visit = (node, inside) => {
    if (found !== undefined) return;
    const name = node.name?.getText(tree) ?? (ts.isConstructorDeclaration(node) ? 'constructor' : undefined);
    const isFunction =
      ts.isFunctionLike(node) ||
      ((ts.isVariableDeclaration(node) || ts.isPropertyDeclaration(node)) && node.initializer);
    if (name === member && isFunction && (node.body !== undefined || node.initializer !== undefined)) {
      if (owner === undefined || inside === owner) {
        found = node;
        return;
      }
    }
    const next = ts.isClassLike(node) ? node.name?.getText(tree) : inside;
    ts.forEachChild(node, (child) => visit(child, next));
  };
  visit(tree, undefined);
  return found;
}

/** Parse an expression or a list of statements. */
function patternOf(code) {
  const statements = /[;}]\s*$/.test(code);
  const tree = parsed(`async function* pattern(this: unknown) { ${statements ? code : `return (${code});`} }`);
  const body = tree.statements[0].body.statements;
  if (statements) return [...body];
  return bare(body[0].expression);
}

const bare = (node) => (ts.isParenthesizedExpression(node) ? bare(node.expression) : node);

function placesOf(scope, pattern) {
  const places = [];
  const visit = (node) => {
    if (!Array.isArray(pattern)) {
      if (same(node, pattern)) places.push({ first: node, last: node });
    } else if (Array.isArray(node.statements)) {
      const { statements } = node;
      for (let at = 0; at + pattern.length <= statements.length; at++)
        if (pattern.every((each, i) => same(statements[at + i], each)))
          places.push({ first: statements[at], last: statements[at + pattern.length - 1] });
    } else if (pattern.length === 1 && ts.isStatement(node) && !ts.isBlock(node.parent) && same(node, pattern[0])) {
      places.push({ first: node, last: node });
    }
    ts.forEachChild(node, visit);
  };
  visit(scope);
  return places;
}

function same(one, other) {
  if (one.kind !== other.kind || one.operator !== other.operator) return false;
  const [children, others] = [childrenOf(one), childrenOf(other)];
  if (children.length !== others.length) return false;
  if (children.length === 0) return one.getText() === other.getText();
  return children.every((child, i) => same(child, others[i]));
}

function childrenOf(node) {
  const children = [];
  ts.forEachChild(node, (child) => {
    children.push(child);
  });
  return children;
}
