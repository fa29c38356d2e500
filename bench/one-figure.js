/**
 * One measurement of `npm run bench`, for a process of its own: prints its result as JSON. What ran before in a process
 * changes the speed of JavaScript: the compiler specialises functions for the objects that it has seen.
 *
 * Arguments: the module, the name of the function, and its arguments as a JSON array.
 */
const [, , module, name, args] = process.argv;
const { [name]: measure } = await import(new URL(module, import.meta.url));
process.stdout.write(JSON.stringify(await measure(...JSON.parse(args))));
