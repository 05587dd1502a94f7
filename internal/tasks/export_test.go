package tasks

// SubmitPortion is how many tasks are submitted at a time.
const SubmitPortion = submitPortion
