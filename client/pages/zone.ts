// A time zone that nobody has said yet is that of this browser, if the page offers it; the server looks at it like any other.

const here = new Intl.DateTimeFormat().resolvedOptions().timeZone;
const field = document.querySelector<HTMLInputElement>("input[data-zone]");
const offered = [...(field?.list?.options ?? [])].some((one) => one.value === here);
if (field !== null && field.value === "" && offered) field.value = here;
