// Runs a pack on any Wasm engine with the standard C API (wasm.h): no Python, no JavaScript, no pyruntime.
//
//     host PACK [SYMBOL=SIZE ...] INPUT.bin ...
//
// Inputs are raw elements, in the order of pack.json; each output is written to NAME.bin. What the host does is the
// ABI 1 of ARCHITECTURE.md, one step after the other. Built with wasmtime's C library and nlohmann's json.hpp:
//
//     c++ -std=c++17 -O2 host.cpp -lwasmtime -o host
#include <wasm.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>
using Bytes = std::vector<char>;
using Json = nlohmann::json;
using Symbols = std::map<std::string, int64_t>;

constexpr size_t PAGE = 65536, TAIL = 64;  // vector loads may read so many bytes past the last weight

[[noreturn]] void fail(const std::string &why) { throw std::runtime_error(why); }
Bytes read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path + " cannot be read");
  return Bytes(std::istreambuf_iterator<char>(file), {});
}
Bytes read_file(const std::string &pack, const Json &listed) {
  return read_file(pack + "/" + listed["file"].get<std::string>());
}

size_t bytes_of(const std::string &dtype) {
  if (dtype == "bool") return 1;
  return std::stoul(dtype.substr(dtype.find_first_of("0123456789"))) / 8;
}

int64_t floor_div(int64_t a, int64_t b) { return b ? a / b - (a % b && (a ^ b) < 0) : 0; }

// A dim of pack.json: a number, a symbol, or both with operators in reverse Polish order.
int64_t evaluate(const Json &dim, const Symbols &symbols) {
  std::vector<int64_t> stack;
  for (const Json &word : dim.is_array() ? dim : Json::array({dim})) {
    if (word.is_number()) stack.push_back(word);
    else if (symbols.count(word)) stack.push_back(symbols.at(word));
    else {
      const std::string name = word;
      const int64_t b = stack.back();
      stack.pop_back();
      int64_t &a = stack.back();
      a = name == "+" ? a + b : name == "-" ? a - b : name == "*" ? a * b : name == "//" ? floor_div(a, b)
        : name == "%" ? a - floor_div(a, b) * b : name == "min" ? std::min(a, b) : std::max(a, b);
    }
  }
  return stack.back();
}

float widen(const char *from) {  // IEEE 754 binary16
  uint16_t half;
  std::memcpy(&half, from, 2);
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float size = exponent == 31 ? (fraction ? NAN : INFINITY) :
                     std::ldexp(exponent ? fraction + 1024.0f : fraction * 1.0f, (exponent ? exponent : 1) - 25);
  return half >> 15 ? -size : size;
}

// The one module of a pack with its memory.
class Module {
 public:
  // The first variant that this engine takes and that needs no threads.
  Module(const std::string &pack, const Json &target) : store_(wasm_store_new(wasm_engine_new())) {
    wasm_module_t *module = nullptr;
    for (const Json &variant : target["variants"]) {
      if (module || variant["requires"].dump().find("threads") != std::string::npos) continue;
      Bytes code = read_file(pack, variant);
      const wasm_byte_vec_t span = {code.size(), code.data()};
      module = wasm_module_new(store_, &span);
    }
    if (!module) fail("this engine takes none of the pack's modules");
    const wasm_limits_t limits = {target["initial_pages"], wasm_limits_max_default};
    memory_ = wasm_memory_new(store_, wasm_memorytype_new(&limits));
    wasm_extern_t *imports[] = {wasm_memory_as_extern(memory_)};
    const wasm_extern_vec_t imported = {1, imports};
    wasm_instance_t *instance = wasm_instance_new(store_, module, &imported, nullptr);
    if (!instance) fail("the module cannot be started");
    wasm_exporttype_vec_t types;
    wasm_extern_vec_t exports;
    wasm_module_exports(module, &types), wasm_instance_exports(instance, &exports);
    for (size_t i = 0; i < types.size; i++) {
      const wasm_byte_vec_t *name = wasm_exporttype_name(types.data[i]);
      functions_[std::string(name->data, name->size)] = wasm_extern_as_func(exports.data[i]);
    }
  }

  int64_t call(const std::string &name, const std::vector<int32_t> &arguments) {
    std::vector<wasm_val_t> values(arguments.size());
    for (size_t i = 0; i < values.size(); i++) values[i].kind = WASM_I32, values[i].of.i32 = arguments[i];
    wasm_val_t result = {};
    const wasm_val_vec_t in = {values.size(), values.data()};
    wasm_val_vec_t out = {1, &result};
    if (wasm_func_call(functions_.at(name), &in, &out)) fail(name + " trapped");
    return result.kind == WASM_I64 ? result.of.i64 : result.of.i32;
  }

  // Memory grows, and may move: what `at` gave before is not valid after.
  void hold(size_t bytes) {
    const size_t size = wasm_memory_data_size(memory_), pages = (std::max(bytes, size) - size + PAGE - 1) / PAGE;
    if (!wasm_memory_grow(memory_, static_cast<uint32_t>(pages))) fail("memory is refused: " + std::to_string(bytes));
  }
  char *at(int64_t address) { return wasm_memory_data(memory_) + static_cast<uint32_t>(address); }

 private:
  wasm_store_t *store_;
  wasm_memory_t *memory_;
  std::map<std::string, wasm_func_t *> functions_;
};

// Every weight to its fixed address, float16 as float32 where the target says so.
void write_weights(const std::string &pack, const Json &manifest, Module &module) {
  std::vector<Bytes> shards;
  for (const Json &shard : manifest["weights"]["shards"]) shards.push_back(read_file(pack, shard));
  for (const Json &weight : manifest["targets"]["wasm"]["weights"]) {
    const Json &tensor = manifest["weights"]["tensors"].at(weight["tensor"].get<size_t>());
    const size_t shard = tensor["shard"], bytes = tensor["bytes"], offset = tensor["offset"];
    const size_t begin = manifest["weights"]["shards"].at(shard)["data"].get<size_t>() + offset;
    const bool wider = tensor["dtype"] == "float16" && weight["dtype"] == "float32";
    if (begin + bytes > shards[shard].size()) fail("a shard is shorter than pack.json says");
    module.hold(weight["address"].get<size_t>() + (wider ? 2 * bytes : bytes) + TAIL);
    char *to = module.at(weight["address"]);
    const char *from = shards[shard].data() + begin;
    if (!wider) std::memcpy(to, from, bytes);
    for (size_t i = 0; wider && i < bytes / 2; i++) {
      const float value = widen(from + 2 * i);
      std::memcpy(to + 4 * i, &value, 4);
    }
  }
}

int main(int argc, char **argv) try {
  if (argc < 2) fail("usage: host PACK [SYMBOL=SIZE ...] INPUT.bin ...");
  const std::string pack = argv[1];
  Symbols symbols;
  std::vector<std::string> files;
  for (int i = 2; i < argc; i++) {
    const std::string word = argv[i];
    const size_t sign = word.find('=');
    if (sign == word.npos) files.push_back(word);
    else symbols[word.substr(0, sign)] = std::stoll(word.substr(sign + 1));
  }
  const Json manifest = Json::parse(read_file(pack + "/pack.json"));
  if (manifest["format"] != 0 || !manifest["requires"].empty()) fail("a pack of a format that this host does not know");
  if (manifest.contains("state") && !manifest["state"].empty()) fail("this host keeps no state between runs");
  const Json &entry = manifest["entries"][0];
  Module module(pack, manifest["targets"]["wasm"]);
  if (module.call("abi", {}) != 1) fail("a module of another ABI");
  write_weights(pack, manifest, module);

  for (const Json &symbol : entry["symbols"])
    if (!symbols.count(symbol["name"])) fail("give " + symbol["name"].get<std::string>() + "=SIZE");
  for (const Json &constraint : entry.value("constraints", Json::array()))
    if (!evaluate(constraint["value"], symbols)) fail(constraint["reason"]);
  int64_t place = module.call("dims", {0});
  for (const Json &symbol : entry["symbols"]) {
    std::memcpy(module.at(place), &symbols.at(symbol["name"]), 8);
    place += 8;
  }
  if (const int64_t error = module.call("plan", {0})) fail("these sizes cannot be planned: " + std::to_string(error));
  module.hold(static_cast<size_t>(module.call("bytes", {0})));

  const Json &inputs = entry["inputs"];
  if (files.size() != inputs.size()) fail("the pack has " + std::to_string(inputs.size()) + " inputs");
  for (int32_t i = 0; i < static_cast<int32_t>(files.size()); i++) {
    const Bytes data = read_file(files[i]);
    size_t wanted = bytes_of(inputs[i]["dtype"]);
    for (const Json &dim : inputs[i]["shape"]) wanted *= static_cast<size_t>(evaluate(dim, symbols));
    if (data.size() != wanted) fail(files[i] + " should have " + std::to_string(wanted) + " bytes");
    std::memcpy(module.at(module.call("input", {0, i})), data.data(), wanted);
  }
  const auto steps = static_cast<int32_t>(module.call("steps", {0}));
  if (module.call("run", {0, 0, steps}) != steps) fail("the run did not end");

  for (int32_t i = 0; i < static_cast<int32_t>(entry["outputs"].size()); i++) {
    const Json &output = entry["outputs"][i];
    const std::string name = output["name"];
    size_t bytes = bytes_of(output["dtype"]);
    for (int32_t axis = 0; axis < static_cast<int32_t>(output["shape"].size()); axis++)
      bytes *= static_cast<size_t>(module.call("output_dim", {0, i, axis}));
    std::ofstream file(name + ".bin", std::ios::binary);
    file.write(module.at(module.call("output", {0, i})), static_cast<std::streamsize>(bytes));
    if (!file.flush()) fail(name + ".bin cannot be written");
    std::cout << name << ".bin: " << bytes << " bytes of " << output["dtype"].get<std::string>() << "\n";
  }
} catch (const std::exception &error) {
  std::cerr << "host: " << error.what() << "\n";
  return 1;
}
