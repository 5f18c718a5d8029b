// Errors with a kind, by which the command line chooses its own: "device", "memory", "pack" or "run".

export const failure = (kind, message) => Object.assign(new Error(message), { kind });
